import numpy as np
import pytest

from nncompress.evaluate.row_comparison import compare_rows
from nncompress.sources import EmbeddingMatrix


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def nearest(rows, query):
    scores = units(rows) @ units(rows)[query]
    scores[query] = -np.inf
    return np.argsort(-scores)[:10]


def compared(rows, others, **options):
    return compare_rows(EmbeddingMatrix(rows), lambda numbers: others[numbers], **options)


def test_figures_follow_their_definitions(matrix, random, monkeypatch):
    monkeypatch.setattr("nncompress.evaluate.row_comparison._BLOCK_ROWS", 37)
    others = matrix + random.normal(size=matrix.shape).astype(np.float32)
    result = compared(matrix, others, num_queries=300)
    exact, decoded = matrix.astype(np.float64), others.astype(np.float64)
    squares = ((exact - decoded) ** 2).sum(axis=1)
    cosines = (units(exact) * units(decoded)).sum(axis=1)
    figures = result.figures
    assert figures["error"].value == pytest.approx(
        squares.mean() / exact.var(axis=0).sum(), rel=1e-4
    )
    assert figures["cosine"].value == pytest.approx(cosines.mean())
    assert figures["cosine_worst"].value == pytest.approx(np.sort(cosines)[:3].mean())
    both = [(nearest(exact, q), nearest(decoded, q)) for q in range(300)]
    assert (result.before == [before for before, _ in both]).all()
    assert (result.after == [after for _, after in both]).all()
    kept = [np.isin(after, before).mean() for before, after in both]
    assert figures["recall"].value == pytest.approx(np.mean(kept))
    for figure in figures.values():
        assert figure.low <= figure.value <= figure.high
    assert result.basis() == "300 rows, neighbours of 300"
    assert result.basis(900) == "300 of 900 rows, neighbours of 300 among these"


def test_a_table_is_as_near_to_itself_as_can_be(matrix):
    result = compared(matrix, matrix)
    values = {name: figure.value for name, figure in result.figures.items()}
    assert values == pytest.approx({"error": 0, "cosine": 1, "cosine_worst": 1, "recall": 1})


def test_rows_of_zeros_have_no_cosine(random):
    rows = random.normal(size=(40, 5)).astype(np.float32)
    rows[::4] = 0
    others = rows.copy()
    others[1] = 0  # a row whose direction is lost
    result = compared(rows, others)
    assert result.figures["cosine"].value == pytest.approx(29 / 30)
    assert result.figures["cosine_worst"].value == pytest.approx(0)
    assert result.distortion.cosine == pytest.approx(29 / 30)


def test_small_and_constant_tables_are_measured(random):
    rows = random.normal(size=(20, 4)).astype(np.float32)
    assert "recall" not in compared(rows, rows).figures
    same = np.ones((30, 4), np.float32)
    assert compared(same, same).figures["error"].value == 0
    nothing = np.zeros((3, 4), np.float32)
    assert list(compared(nothing, nothing).figures) == ["error"]
