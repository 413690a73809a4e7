"""Distances measured on a GPU against the CPU's."""

import numpy as np
import pytest

from nncompress.embedding.code_table import CodeTable
from nncompress.evaluate.distortion import _GpuDecoder, measure
from nncompress.sources import EmbeddingMatrix


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("codewords", [5, 16, 300])
def test_rows_and_distances_are_those_of_the_cpu(runtime, to_host, random, dtype, codewords):
    codes = random.integers(codewords, size=(500, 6))
    codebook = random.normal(size=(6 * codewords, 9)).astype(dtype)
    table = CodeTable.of_codes(codes, codebook)
    decoder = _GpuDecoder(runtime.xp, table)
    decoded = to_host(decoder.decode(slice(20, 90)))
    np.testing.assert_allclose(decoded, table.decode(slice(20, 90)), atol=1e-5)
    matrix = EmbeddingMatrix(random.normal(size=(500, 9)).astype(np.float32))
    (theirs,) = measure(matrix, [table])
    for ours in measure(matrix, [table, table], runtime.xp) if runtime.xp is not np else ():
        for name in ("loss", "distance", "cosine"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-5)
