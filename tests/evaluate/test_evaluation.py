import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.evaluate.evaluation import evaluate
from nncompress.evaluate.pictures import plot_evaluation
from nncompress.sources import EmbeddingMatrix
from tests.embedding.residual_tables import random_table


@pytest.fixture
def compressed(random):
    codes = random.integers(11, size=(400, 6))
    codebook = random.normal(size=(66, 10)).astype(np.float32)
    return CompressedEmbedding.from_codes(codes, codebook, [f"w{i}" for i in range(400)])


@pytest.fixture
def original(compressed, random):
    return (compressed.to_numpy() + 0.5 * random.normal(size=(400, 10))).astype(np.float32)


def neighbours(rows, query):
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = units @ units[query]
    scores[query] = -np.inf
    return set(np.argsort(-scores)[:10])


def test_what_is_measured_follows_the_definitions(compressed, original, tmp_path, monkeypatch):
    monkeypatch.setattr("nncompress.evaluate.row_comparison._BLOCK_ROWS", 37)
    pytest.importorskip("scipy")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"w{i}\tw{i + 7}\t{i * i % 11}\n" for i in range(40)))
    result = evaluate(compressed, EmbeddingMatrix(original), [pairs], num_queries=50)
    decoded = compressed.to_numpy()
    errors = np.linalg.norm(original - decoded, axis=1)
    np.testing.assert_allclose(result.rows.distances, errors, rtol=1e-5)
    assert result.rows.distortion.loss == pytest.approx(0.5 * (errors**2).mean(), rel=1e-5)
    queries = np.linspace(0, 399, 50).astype(int)
    kept = [len(neighbours(original, q) & neighbours(decoded, q)) / 10 for q in range(400)]
    assert result.report.figures["recall"].value == pytest.approx(np.mean(kept), abs=0.1)
    assert len(result.rows.kept) == len(queries)
    codes = compressed.table.codes(slice(None))
    assert result.usage.tolist() == [
        np.bincount(group, minlength=11).tolist() for group in codes.T
    ]
    assert 6 * np.log2(11) * 0.95 < result.bits_used <= 6 * np.log2(11)
    from scipy import stats

    people = [i * i % 11 for i in range(40)]
    (test,) = result.scores
    assert test.data == "pairs.tsv"
    for rows, score in ((original, test.original), (decoded, test.compressed)):
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = [units[i] @ units[i + 7] for i in range(40)]
        assert score.value == pytest.approx(100 * stats.spearmanr(people, cosines)[0], abs=1e-4)


def test_all_rows_can_be_asked_for_their_neighbours(compressed, original):
    result = evaluate(compressed, EmbeddingMatrix(original), [], num_queries=400)
    decoded = compressed.to_numpy()
    kept = [len(neighbours(original, q) & neighbours(decoded, q)) / 10 for q in range(400)]
    np.testing.assert_allclose(result.rows.kept, kept)
    assert result.scores == ()


def test_another_table_is_refused(compressed, original):
    with pytest.raises(InputError, match=r"399 rows x 10 dimensions, but .* 400 x 10;"):
        evaluate(compressed, EmbeddingMatrix(original[:-1]))


@pytest.mark.parametrize("additive", [False, True])
def test_a_table_with_residuals_is_measured(random, additive, tmp_path):
    table = random_table(random, additive, rows=300)
    embedding = CompressedEmbedding.of_table(table, [f"w{i}" for i in range(300)])
    decoded = embedding.to_numpy()
    original = (decoded + 0.5 * random.normal(size=decoded.shape)).astype(np.float32)
    result = evaluate(embedding, EmbeddingMatrix(original), [], num_queries=300)
    kept = [len(neighbours(original, q) & neighbours(decoded, q)) / 10 for q in range(300)]
    assert result.report.figures["recall"].value == pytest.approx(np.mean(kept), abs=0.01)
    codes = 3 * np.log2(11) if additive else 0
    assert result.bits_used == pytest.approx(8 * table.residual.row_bytes + codes, abs=0.5)
    plot_evaluation(tmp_path / "x.png", result, "x")
    assert (tmp_path / "x.png").exists()


def test_an_original_with_other_words_is_refused(random):
    rows = random.normal(size=(20, 3)).astype(np.float32)
    words = [f"w{i}" for i in range(19)]
    codes = np.arange(20)[:, None]
    embedding = CompressedEmbedding.from_codes(codes, rows, [*words, None])
    matrix = EmbeddingMatrix(rows)
    assert evaluate(embedding, matrix, (), words=[*words, "another"]).report.figures
    swapped = [*words[:5], words[6], words[5], *words[7:]]
    with pytest.raises(InputError, match=r"row 5 .* is 'w6' in the matrix and 'w5' in the comp"):
        evaluate(embedding, matrix, (), words=swapped)


@pytest.mark.parametrize(("num_pairs", "num_scores"), [(29, 0), (30, 2)])
def test_word_tests_that_nobody_asked_for_need_thirty_pairs(
    compressed, original, tmp_path, monkeypatch, num_pairs, num_scores
):
    utils = pytest.importorskip("gensim.test.utils")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"w{i}\tw{i + 7}\t{i * i % 11}\n" for i in range(num_pairs)))
    monkeypatch.setattr(utils, "datapath", lambda name: str(pairs))
    scores = evaluate(compressed, EmbeddingMatrix(original), num_queries=50).scores
    assert len(scores) == num_scores
