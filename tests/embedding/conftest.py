import numpy as np
import pytest

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.engine import engine


@pytest.fixture(params=["numpy", "numba"])
def each_engine(request):
    engine.use(request.param)
    yield request.param
    engine.use("auto")


@pytest.fixture
def table(random):
    """Codes, a codebook and words of 700 rows: M=8, K=11, D=9."""
    codes = random.integers(11, size=(700, 8))
    codebook = random.normal(size=(88, 9)).astype(np.float32)
    return codes, codebook, [f"wörd {i}" for i in range(700)]


@pytest.fixture
def decoded(table):
    """The table's rows, by the definition, in float64."""
    codes, codebook, _ = table
    return np.eye(11)[codes].reshape(700, -1) @ codebook.astype(np.float64)


@pytest.fixture
def embedding(table):
    return CompressedEmbedding.from_codes(*table)
