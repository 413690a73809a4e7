"""Models: with additive codes, with a residual stage, and with both."""

import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from nncompress.embedding.model import Model
from nncompress.embedding.model_file import write_model
from nncompress.embedding.nnc_sections import in_order
from nncompress.embedding.sections import sums_of
from nncompress.errors import InputError
from nncompress.formats.safetensors import map_tensors, write_tensors
from nncompress.jobs.block_encoder import BlockEncoder
from nncompress.jobs.learning import learn_model
from nncompress.jobs.models import open_model
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources.open_rows import open_rows
from tests.reliability.fuzzing import Kind

ROWS = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32)
_PLANS = {
    "codes": Plan.of(num_codebooks=2, num_codewords=4, epochs=1),
    "residuals": Plan.of(residual_bits=12),
    "both": Plan.of(num_codebooks=2, num_codewords=4, epochs=1, residual_bits=12),
}
_CPU = Machine(threads=1)


def models() -> dict[str, Model]:
    """Returns a model of each kind."""
    with open_rows(ROWS) as source, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it is larger than so few rows
        return {name: learn_model(source, plan, _CPU) for name, plan in _PLANS.items()}


def seeds(directory: Path) -> list[Path]:
    """Writes a model of each kind."""
    paths = [directory / f"{name}.model" for name in _PLANS]
    for path, model in zip(paths, models().values(), strict=True):
        write_model(path, model)
    return paths


def use(path: Path) -> None:
    """Encodes rows by a model and decodes them, whatever its sums say."""
    with suppress(InputError):
        open_model(path)
    file = map_tensors(path, copy=True)
    with suppress(UnicodeEncodeError):  # of names that are no text
        write_tensors(
            path, in_order(file.tensors), file.metadata | {"sha256": sums_of(file.tensors)}
        )
    model = open_model(path)
    with suppress(InputError), np.errstate(all="ignore"):  # encoding may take what is not there
        BlockEncoder(model, EFFORTS["quick"], _CPU).encode(ROWS[:, : model.dim], 0)


KIND = Kind("model", seeds, use)
