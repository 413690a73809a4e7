import pytest

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.engine import engine


@pytest.fixture(params=["numpy", "numba"])
def each_engine(request):
    engine.use(request.param)
    yield request.param
    engine.use("auto")


@pytest.fixture
def embedding(table):
    return CompressedEmbedding.from_codes(*table)
