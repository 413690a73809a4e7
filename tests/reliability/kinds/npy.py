"""Matrices in ``.npy`` files."""

import numpy as np

from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import open_table
from tests.reliability.fuzzing import Kind


def seeds(directory):
    values = np.random.default_rng(0).normal(size=(20, 6))
    arrays = {
        "single": values.astype(np.float32),
        "double": values,
        "half": np.asfortranarray(values.astype(">f2")),
    }
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", array)
    return [directory / f"{name}.npy" for name in arrays]


def use(path):
    matrix = EmbeddingMatrix.open(path)
    for _, rows in matrix.batches():
        rows.sum(dtype=np.float64)
    with open_table(path) as table:
        table.matrix.take(np.arange(len(table.matrix)))


KIND = Kind("npy", seeds, use)
