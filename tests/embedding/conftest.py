import numpy as np
import pytest

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.engine import engine
from nncompress.embedding.sharded_table import ShardedTable
from tests.embedding.residual_tables import random_table
from tests.embedding.sharding import cut


@pytest.fixture(params=["numpy", "numba"])
def each_engine(request):
    engine.use(request.param)
    yield request.param
    engine.use("auto")


@pytest.fixture
def embedding(table):
    return CompressedEmbedding.from_codes(*table)


@pytest.fixture(params=["codes", "residuals", "both", "shards"])
def keyed(request, random):
    """An embedding of 60 words in each kind of table."""
    if request.param in ("codes", "shards"):
        codes = random.integers(11, size=(60, 5))
        table = CodeTable.of_codes(codes, random.normal(size=(55, 9)))
    else:
        # With so many clusters no two rows are the same, whose order would be open.
        table = random_table(random, request.param == "both", rows=60, axes=9, cluster_bits=8)
    if request.param == "shards":
        table = ShardedTable(cut(table, 17, 40))
    return CompressedEmbedding.of_table(table, [f"w{i}" for i in range(60)])


@pytest.fixture
def in_gensim(keyed):
    """gensim's KeyedVectors of the same words and decoded vectors."""
    models = pytest.importorskip("gensim.models")
    vectors = models.KeyedVectors(keyed.vector_size)
    vectors.add_vectors(list(keyed), np.array([keyed.table.vector(row) for row in range(60)]))
    return vectors
