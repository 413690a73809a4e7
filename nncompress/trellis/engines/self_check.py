"""A check of a GPU's kernels of the residual stage against NumPy, with one small table."""

from functools import partial

import numpy as np

from nncompress.embedding.residual import Stream
from nncompress.gpu.runtime import Runtime
from nncompress.gpu.verdicts import Verdicts, WrongNumbersError
from nncompress.trellis.engines.gpu import GpuEngine
from nncompress.trellis.quantizer import Settings, fit

_ROWS, _DIM, _CLASSES, _SCALES, _SIZES = 24, 6, 5, 7, 40
_TOLERANCE = 1e-3
# The most that levels which fit well cost: squared steps per coordinate, and the bits of a block
# of bytes beyond those of its symbols.
_MOST_ERROR, _MOST_EXTRA_BITS = 0.5, 40

_verdicts = Verdicts("the residual stage is computed on the CPU instead")


def residual_kernels_work(runtime: Runtime) -> bool:
    """Tells whether kernels compile, launch and code rows well; tried once for each GPU.

    Args:
        runtime: The GPU.
    """
    return _verdicts.of(runtime, partial(_try_a_table, runtime))


def _try_a_table(runtime: Runtime) -> None:
    """Chooses row classes, and codes and writes a table.

    Raises:
        WrongNumbersError: The classes are not the cheapest, the levels do not fit, or the bytes do
            not contain them.
    """
    random = np.random.default_rng(0)
    engine = GpuEngine(runtime)
    _check_classes(engine, random)
    rows = (random.normal(size=(_ROWS, _DIM)) * 2.0 ** np.arange(_DIM)).astype(np.float32)
    settings = Settings(step=0.5, block_rows=_ROWS)
    quantizer, coded = fit(rows, None, settings, engine)
    data, lengths = quantizer.write(coded, engine)
    if coded.errors.sum() > _MOST_ERROR * settings.step**2 * rows.size:
        raise WrongNumbersError("the levels found do not fit")
    if lengths.tolist() != [len(data)] or abs(8 * len(data) - coded.bits.sum()) > _MOST_EXTRA_BITS:
        raise WrongNumbersError("the number of bytes does not match the levels")
    found = np.zeros_like(rows)
    residual = quantizer.to_residual(Stream.of(data, lengths, _ROWS, _ROWS), coded.clusters)
    residual.add_to(np.arange(_ROWS), found)
    # Axes that are left out add a little to the errors along the other axes.
    errors = np.square(found - rows, dtype=np.float64).sum(axis=1)
    if not np.allclose(errors, coded.errors, 0.1, _TOLERANCE):
        raise WrongNumbersError("the bytes contain other levels")


def _check_classes(engine: GpuEngine, random: np.random.Generator) -> None:
    sizes = random.exponential(4.0, size=(_ROWS, _DIM)).astype(np.float32)
    axis_scales = random.integers(_SCALES, size=_DIM).astype(np.int32)
    offsets = np.arange(-2, _CLASSES - 2, dtype=np.int32)
    fees = random.random(_CLASSES).astype(np.float32)
    look_up = random.random((_SCALES, _SIZES)).astype(np.float32)
    chosen = engine.choose_classes(sizes, axis_scales, offsets, fees, look_up)
    scales = np.clip(axis_scales + offsets[:, None], 0, _SCALES - 1)
    places = np.minimum((4 * sizes).astype(np.int64), _SIZES - 1)
    costs = fees + look_up[scales, places[:, None]].sum(axis=2)
    best = costs.min(axis=1)
    if not np.allclose(np.take_along_axis(costs, chosen[:, None], 1)[:, 0], best, 0, _TOLERANCE):
        raise WrongNumbersError("the row classes chosen are not the cheapest")
