"""A check of a GPU's refinement kernels against formulas, in one small pass."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from nncompress.gpu.runtime import Runtime
from nncompress.gpu.verdicts import Verdicts, WrongNumbersError
from nncompress.refinement.engines.gpu import GpuEngine
from nncompress.refinement.engines.interface import Draw
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization

_ROWS, _DIM, _CODEWORDS = 16, 8, 4  # in two groups
_TOLERANCE = 1e-3


@dataclass
class _Sample:
    """Rows for an engine, without normalization; see ``interface.Rows``."""

    matrix: EmbeddingMatrix
    weights: np.ndarray
    codebook: np.ndarray
    normalization: Normalization = field(default_factory=lambda: Normalization.identity(_DIM))
    codes: np.ndarray = field(default_factory=lambda: np.zeros((_ROWS, 2), np.uint8))
    is_normalized: bool = True
    num_codewords: int = _CODEWORDS

    def normalized(self, rows: np.ndarray) -> np.ndarray:
        return rows


_verdicts = Verdicts("refinement runs on the CPU instead")


def refinement_kernels_work(runtime: Runtime) -> bool:
    """Tells whether kernels compile, launch and find the best codes; tried once for each GPU.

    Args:
        runtime: The GPU.
    """
    return _verdicts.of(runtime, partial(_try_a_pass, runtime))


def _try_a_pass(runtime: Runtime) -> None:
    """Samples, improves and searches for codes, and builds the normal equations.

    Raises:
        WrongNumbersError: The codes are not the best, or the equations do not belong to them.
    """
    random = np.random.default_rng(0)
    matrix = random.normal(size=(_ROWS, _DIM)).astype(np.float32)
    codebook = random.normal(size=(2 * _CODEWORDS, _DIM))
    engine = GpuEngine(runtime)
    rows = _Sample(EmbeddingMatrix(matrix), random.exponential(size=_ROWS), codebook)
    x = engine.take(rows, np.arange(_ROWS))
    sampled, improved, searched = (engine.upload(rows.codes) for _ in range(3))
    draw = Draw(0, 0, 0, np.zeros(2 * _CODEWORDS, np.float32))
    work = engine.begin(rows)
    work.relax(x, sampled, 0, draw, np.full(4, 1e-6, np.float32))
    work.improve(x, improved, 0, draw, 1.0, 1, 2 * _ROWS)
    # Wide enough to keep every pair of codewords.
    work.search(x, searched, np.arange(2), _CODEWORDS)
    work.tally(x, searched, rows.weights)
    equations = work.equations()

    sums = codebook[:_CODEWORDS, None] + codebook[_CODEWORDS:]
    costs = np.square(matrix[:, None, None] - sums).sum(axis=3)
    best = costs.min(axis=(1, 2))
    for codes in (sampled, improved, searched):
        found = engine.to_host(codes)
        if not ((found >= 0) & (found < _CODEWORDS)).all():
            raise WrongNumbersError("codes are found that do not exist")
        row, (first, second) = np.arange(_ROWS), found.T
        # At a negligible temperature, sampling and ICM end where no single change helps.
        wanted = np.minimum(costs[row, first].min(axis=1), costs[row, :, second].min(axis=1))
        if codes is searched:
            wanted = best
        if not np.allclose(costs[row, first, second], wanted, _TOLERANCE, _TOLERANCE):
            raise WrongNumbersError("the codes found are not the best")
    chosen = np.concatenate([np.eye(_CODEWORDS)[found[:, group]] for group in range(2)], axis=1)
    weighted = chosen.T * rows.weights
    for ours, wanted in (
        (np.tril(engine.to_host(equations.counts)), np.tril(weighted @ chosen)),
        (engine.to_host(equations.sums), weighted @ matrix),
    ):
        if not np.allclose(ours, wanted, _TOLERANCE, _TOLERANCE):
            raise WrongNumbersError("the sums of rows by codeword differ from NumPy's")
