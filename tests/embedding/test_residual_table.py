from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress import CompressedEmbedding, InputError
from nncompress.embedding import residual_table
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.sketch import Sketch
from nncompress.machine import Machine
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.trellis.quantizer import Settings
from nncompress.trellis.rows import levels_of
from nncompress.trellis.stage import Remainder, make_residual
from tests.embedding.residual_tables import random_residual, random_table


def brute_force(rows, query, count, left_out=()):
    """Returns the rows of the largest cosines, and those, in float64."""
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    cosines = rows @ query / np.where(lengths > 0, lengths, 1)
    cosines[list(left_out)] = -np.inf
    best = np.argsort(-cosines, kind="stable")[:count]
    return best, cosines


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("block_rows", [1, 4])
def test_searches_find_the_neighbours_of_the_decoded_rows(
    random, each_engine, additive, block_rows
):
    table = random_table(random, additive, rows=1_500, axes=8, dim=8, block_rows=block_rows)
    embedding = CompressedEmbedding.of_table(table, None)
    rows = embedding.to_numpy()
    for topn in (1, 10, 40, 1_000, 2_000):
        for row in random.integers(1_500, size=6):
            found = embedding.most_similar(int(row), topn=topn)
            best, cosines = brute_force(rows, rows[row], topn, [row])
            numbers = [number for number, _ in found]
            assert len(set(numbers)) == len(numbers) == min(topn, 1_499)
            assert row not in numbers
            scores = [score for _, score in found]
            assert scores == sorted(scores, reverse=True)
            np.testing.assert_allclose(scores, cosines[best[: len(scores)]], atol=1e-6)
            np.testing.assert_allclose(scores, cosines[numbers], atol=1e-6)
    whole = embedding.most_similar(3, topn=None)
    np.testing.assert_allclose(whole, brute_force(rows, rows[3], 1)[1], atol=1e-6)


def test_a_search_decodes_few_rows(random, monkeypatch):
    table = random_table(random, False, rows=4_000, axes=8, dim=8)
    embedding = CompressedEmbedding.of_table(table, None)
    embedding.most_similar(0)
    decoded = []
    decode = ResidualTable.decode
    monkeypatch.setattr(
        ResidualTable, "decode", lambda self, rows: decoded.append(len(rows)) or decode(self, rows)
    )
    embedding.most_similar(1)
    assert sum(decoded) < 400


def test_without_memory_for_a_sketch_the_result_is_the_same(random, monkeypatch):
    table = random_table(random, True, rows=900, axes=8, dim=8)
    expected = CompressedEmbedding.of_table(table, None).most_similar(5)
    assert table._sketch is not None
    again = ResidualTable(table.residual, table.additive)
    free = 4 * Sketch.size(900, 8) - 1
    monkeypatch.setattr(residual_table, "free_memory", lambda: free)
    found = CompressedEmbedding.of_table(again, None).most_similar(5)
    assert again._sketch is None
    assert [row for row, _ in found] == [row for row, _ in expected]
    np.testing.assert_allclose([c for _, c in found], [c for _, c in expected], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_leading_rows_and_rows_with_words_alone_are_looked_at(random, scale):
    table = random_table(random, False, rows=600, axes=8, dim=8)
    residual = table.residual
    tables = replace(residual.tables, class_steps=residual.tables.class_steps * np.float32(scale))
    residual = replace(residual, tables=tables, mean=residual.mean * np.float32(scale))
    words = [f"w{i}" if i % 3 else None for i in range(600)]
    embedding = CompressedEmbedding.of_table(ResidualTable(residual), words)
    rows = embedding.vectors[:200]
    found = embedding.most_similar("w7", topn=20, restrict_vocab=200)
    best, cosines = brute_force(rows, rows[7], 20, [7, *range(0, 200, 3)])
    assert all(isinstance(word, str) for word, _ in found)
    np.testing.assert_allclose([score for _, score in found], cosines[best], atol=1e-6)
    assert len(embedding.most_similar("w7", topn=None, restrict_vocab=200)) == 200


def test_rows_of_zeros_are_like_nothing(random):
    residual, _, _ = random_residual(random, rows=300, dim=8, cluster_bits=0)
    embedding = CompressedEmbedding.of_table(
        ResidualTable(replace(residual, mean=np.zeros(8, np.float32))), None
    )
    rows = embedding.to_numpy()
    zeros = np.flatnonzero((rows == 0).all(axis=1))
    assert zeros.size
    assert (embedding.most_similar(int(rows.any(axis=1).argmax()), topn=None)[zeros] == 0).all()
    assert [score for _, score in embedding.most_similar(int(zeros[0]), topn=3)] == [0, 0, 0]


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 30), st.integers(0, 99))
def test_a_sketch_is_no_farther_off_than_it_says(rows, dim, magnitude, seed):
    random = np.random.default_rng(seed)
    table = random.normal(size=(rows, dim)) * 10.0 ** random.integers(
        -magnitude, magnitude, (rows, 1)
    )
    table[random.random(rows) < 0.1] = 0
    table = table.astype(np.float32)
    sketch = Sketch.of([(0, table[: rows // 2]), (rows // 2, table[rows // 2 :])], rows, dim)
    query = random.normal(size=dim)
    query /= np.linalg.norm(query)
    drawn = sketch.rows.astype(np.float64) * sketch.scales[:, None]
    _, cosines = brute_force(table, query, 1)
    assert (np.abs(drawn @ query - cosines) <= sketch.errors).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 99))
def test_levels_are_read_as_they_were_written(rows, block_rows, seed):
    random = np.random.default_rng(seed)
    residual, levels, classes = random_residual(random, rows=rows, block_rows=block_rows)
    wanted = random.integers(rows, size=20)
    found, of_class = levels_of(residual, wanted)
    assert (found == levels[wanted]).all()
    seen = levels[wanted].any(axis=1)
    assert (of_class[seen] == classes[wanted][seen]).all()


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("block_rows", [1, 4])
def test_chosen_rows_keep_their_levels(random, additive, block_rows):
    table = random_table(random, additive, block_rows=block_rows)
    embedding = CompressedEmbedding.of_table(table, [f"w{i}" for i in range(70)])
    chosen = embedding.vectors_for_all(["w9", "w3", "none", "w69", "w3", 8])
    assert chosen.table.num_rows == 4
    rows = np.array([9, 3, 69, 8])
    before, after = levels_of(table.residual, rows), levels_of(chosen.table.residual, np.arange(4))
    assert (before[0] == after[0]).all()
    np.testing.assert_allclose(chosen.to_numpy(), embedding.vectors[rows], rtol=1e-5, atol=1e-4)


@pytest.fixture(scope="module", params=[0, 3])
def fitted(request):
    """A matrix, and tables with residuals of most of its rows."""
    random = np.random.default_rng(1)
    matrix = (random.normal(size=(700, 10)) @ random.normal(size=(10, 10))).astype(np.float32)
    settings = Settings(step=0.5, state_bits=4, block_rows=4, cluster_bits=request.param)
    remainder = Remainder(EmbeddingMatrix(matrix[:602]))
    return matrix, ResidualTable(make_residual(remainder, settings, Machine()))


def error(embedding, matrix):
    return np.square(embedding.to_numpy() - matrix).sum(axis=1).mean()


def test_more_rows_are_coded_as_well_as_the_first(fitted, random):
    matrix, table = fitted
    words = [f"w{i}" for i in range(700)]
    embedding = CompressedEmbedding.of_table(table, words[:602])
    more = embedding.add(words[602:], matrix[602:])
    assert list(more) == words
    np.testing.assert_allclose(more.vectors[:602], embedding.to_numpy(), rtol=1e-5, atol=1e-5)
    first, new = (
        np.square(rows - exact).sum(axis=1).mean()
        for rows, exact in (
            (more.vectors[:602], matrix[:602]), (more.vectors[602:], matrix[602:])
        )
    )  # fmt: skip
    assert new < 1.1 * first
    assert more.table.row_bytes < 1.1 * table.row_bytes


def test_more_rows_with_additive_codes_too(random, fitted):
    matrix, _ = fitted
    plain = CompressedEmbedding.from_codes(
        random.integers(4, size=(602, 2)), random.normal(size=(8, 10)).astype(np.float32)
    ).table
    codes, codebook = plain.codes(slice(None)), plain.codebook
    remainder = Remainder(EmbeddingMatrix(matrix[:602]), codes, codebook)
    residual = make_residual(remainder, Settings(step=0.5, state_bits=4), Machine())
    embedding = CompressedEmbedding.of_table(ResidualTable(residual, plain), None)
    more = embedding.add(None, matrix[602:])
    assert more.table.num_rows == 700
    assert error(more, matrix) < 1.1 * error(embedding, matrix[:602])


def test_a_row_that_no_level_reaches_is_refused(fitted):
    matrix, table = fitted
    embedding = CompressedEmbedding.of_table(table, None)
    with pytest.raises(InputError, match="quantization steps long"):
        embedding.add(None, np.stack([matrix[0], matrix[1] * 1e6]))


def test_it_says_what_it_is(random):
    table = random_table(random, True)
    text = repr(CompressedEmbedding.of_table(table, None))
    assert "70 rows, 70 keys, 9 columns: M=3, K=11, residuals of" in text
    text = repr(CompressedEmbedding.of_table(ResidualTable(table.residual), None))
    assert "M=" not in text
