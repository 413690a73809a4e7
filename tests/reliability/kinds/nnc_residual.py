"""Compressed embeddings of format version 2: with a residual stage, and a codebook in few bits."""

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from tests.embedding.residual_tables import random_table
from tests.reliability.fuzzing import Kind
from tests.reliability.kinds import nnc


def seeds(directory):
    random = np.random.default_rng(0)
    words = [f"wörd {i}" for i in range(400)]
    for name, additive, tokens in (("both", True, words), ("alone", False, None)):
        table = random_table(random, additive, 8 * additive, rows=400, axes=12, dim=12)
        CompressedEmbedding.of_table(table, tokens).save(directory / f"{name}.nnc")
    return [directory / "both.nnc", directory / "alone.nnc"]


KIND = Kind("nnc_residual", seeds, nnc.use)
