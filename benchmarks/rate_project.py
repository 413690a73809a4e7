"""This project, for `rates.py`."""

import tempfile
from pathlib import Path

import numpy as np

import nncompress
from benchmarks.rate_configurations import Configuration, Fitted


def this_project(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns the configuration of `nncompress.compress` for a budget in bytes per row."""
    return [Configuration("", budget, fit_this_project, {"bytes_per_row": budget})]


def this_project_adaptive(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns the same with bits by weight, which keeps neighbours rather than distances."""
    settings = {"bytes_per_row": budget, "adaptive": True}
    return [Configuration("", budget, fit_this_project, settings)]


def fit_this_project(
    matrix: np.ndarray, *, bytes_per_row: float, adaptive: bool = False
) -> Fitted:
    """Compresses rows without words; the bytes are those of the whole file."""
    embedding = nncompress.compress(
        matrix, None, bytes_per_row=bytes_per_row, adaptive=adaptive, report=None
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "table.nnc"
        embedding.save(path)
        size = path.stat().st_size
    return Fitted(embedding.to_numpy(), size / len(matrix), code_bits(embedding))


def code_bits(embedding: nncompress.CompressedEmbedding) -> float:
    """Returns the bits of a row's codes, without data shared by all rows."""
    return 8 * embedding.table.row_bytes
