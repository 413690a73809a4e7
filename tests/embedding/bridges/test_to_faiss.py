import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from tests.embedding.residual_tables import random_table

faiss = pytest.importorskip("faiss")


@pytest.fixture(params=[(32, 16), (5, 11), (3, 300), (2, 256)])
def embedding(request, random):
    m, k = request.param
    codes = random.integers(k, size=(400, m))
    return CompressedEmbedding.from_codes(codes, random.normal(size=(m * k, 6)))


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_faiss_decodes_and_searches_the_same_rows(embedding, random, metric):
    rows = embedding.to_numpy().astype(np.float64)
    index = embedding.to_faiss(metric)
    assert index.ntotal == 400
    np.testing.assert_allclose(index.reconstruct_n(0, 400), rows, atol=1e-4)
    queries = random.normal(size=(20, 6)).astype(np.float32)
    scores, ids = index.search(queries, 5)
    if metric == "l2":
        exact = ((queries[:, None] - rows) ** 2).sum(axis=2)
        best = np.sort(exact, axis=1)[:, :5]
    else:
        exact = queries @ rows.T
        best = -np.sort(-exact, axis=1)[:, :5]
    np.testing.assert_allclose(scores, best, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.take_along_axis(exact, ids, 1), best, rtol=1e-4, atol=1e-3)


def test_the_index_is_written_read_and_added_to(embedding, tmp_path):
    index = embedding.to_faiss()
    faiss.write_index(index, str(tmp_path / "x.index"))
    again = faiss.read_index(str(tmp_path / "x.index"))
    np.testing.assert_allclose(again.reconstruct_n(0, 400), embedding.to_numpy(), atol=1e-4)
    again.add(embedding[[1, 2]])
    assert again.ntotal == 402


def test_another_metric_is_refused(embedding):
    with pytest.raises(InputError, match="the metric is 'cosine'"):
        embedding.to_faiss("cosine")


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
@pytest.mark.parametrize("additive", [False, True])
def test_residuals_are_decoded(random, metric, additive):
    embedding = CompressedEmbedding.of_table(random_table(random, additive), None)
    index = embedding.to_faiss(metric)
    assert index.ntotal == 70
    rows = embedding.to_numpy()
    np.testing.assert_allclose(index.reconstruct_n(0, 70), rows, rtol=1e-5)
    queries = random.normal(size=(5, 9)).astype(np.float32)
    exact = ((queries[:, None] - rows) ** 2).sum(axis=2) if metric == "l2" else -queries @ rows.T
    scores, _ = index.search(queries, 3)
    best = np.sort(exact, axis=1)[:, :3]
    np.testing.assert_allclose(scores, best if metric == "l2" else -best, rtol=1e-3)
