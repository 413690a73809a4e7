"""Look-ups and searches of tables of very large and very small numbers, against float64."""

import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.embedding.similarity import unit
from nncompress.errors import InputError

SIZES = [1e-30, 1e-10, 1.0, 1e10, 5e18, 1e30, (1e-30, 1e30)]
M, K, D, N = 4, 8, 9, 120


def make(random, size, dtype=np.float32):
    """Rows of the length of one size, or of one and of another in turn."""
    codebook = random.normal(size=(M, K, D)) * np.resize(size, K)[:, None]
    codes = random.integers(K // 2, size=(N, M)) * 2 + np.resize(range(np.size(size)), N)[:, None]
    return CompressedEmbedding.from_codes(codes, codebook.reshape(M * K, D).astype(dtype))


def directions(embedding):
    rows = embedding.to_numpy().astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("size", SIZES)
def test_cosines_are_those_of_float64(random, each_engine, size):
    embedding = make(random, size)
    rows = embedding.to_numpy().astype(np.float64)
    units = directions(embedding)
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(embedding.table.inverse_norms * lengths, 1, rtol=1e-5)
    cosines = units @ units[7]
    np.testing.assert_allclose(embedding.most_similar(7, topn=None), cosines, atol=1e-6)
    np.testing.assert_allclose(embedding.get_vector(7, norm=True), units[7], atol=1e-6)
    assert embedding.similarity(7, 12) == pytest.approx(cosines[12], abs=1e-6)
    analogy = units[3] + units[4] - units[5]
    np.testing.assert_allclose(
        embedding.most_similar([3, 4], [5], topn=None),
        units @ analogy / np.linalg.norm(analogy), atol=1e-6,
    )  # fmt: skip
    mean = units[:9].mean(axis=0)
    assert embedding.doesnt_match(range(9)) == np.argmin(units[:9] @ mean)


@pytest.mark.parametrize("size", [1e-40, 1e37])
def test_numbers_at_the_ends_of_float32_have_directions_too(random, each_engine, size):
    embedding = make(random, size)
    units = directions(embedding)
    np.testing.assert_allclose(embedding.most_similar(7, topn=None), units @ units[7], atol=1e-6)


@pytest.mark.parametrize("size", [1e-200, 1e-100, 1e100, 1e200])
def test_queries_may_be_of_any_size(random, each_engine, size):
    embedding = make(random, 1.0, np.float16)
    units = directions(embedding)
    found = embedding.similar_by_vector(units[7] * size, topn=None)
    np.testing.assert_allclose(found, units @ units[7], atol=1e-6)
    with pytest.raises(InputError, match=r"the weighted sum .* is not finite"):
        embedding.most_similar([(units[7] * size, 1e200), (units[7] * 1e200, 1e200)])


@pytest.mark.parametrize("exponent", [-130, -60, 60, 110])
def test_a_power_of_two_changes_no_digit_of_a_score(random, each_engine, exponent):
    ordinary = make(random, 1.0)
    codes, codebook = ordinary.table.codes(slice(None)), ordinary.table.codebook
    other = CompressedEmbedding.from_codes(codes, np.ldexp(codebook, exponent))
    if exponent > -100:  # else the codebook itself loses digits
        for row in (3, 50):
            scores = [each.most_similar(row, topn=None) for each in (ordinary, other)]
            assert (scores[0] == scores[1]).all()
    assert other.most_similar(3)[0][0] == ordinary.most_similar(3)[0][0]


def test_a_small_row_among_large_ones_is_no_rounding(each_engine):
    """Unlike one whose own codewords cancel out."""
    codebook = np.array([[1e9, 0], [1e-9, 0], [-1e9, 0], [0, 1e-9]], dtype=np.float32)
    embedding = CompressedEmbedding.from_codes(np.array([[0, 0], [1, 1], [0, 1]]), codebook)
    found = embedding.most_similar([np.array([1.0, 1.0])], topn=None)
    np.testing.assert_allclose(found, [0.0, 1.0, 2**-0.5], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_units_of_zeros_and_of_the_smallest_numbers(dtype):
    assert unit(np.zeros(3, dtype)).tolist() == [0, 0, 0]
    smallest = np.finfo(dtype).smallest_subnormal
    assert unit(np.array([0, smallest, 0], dtype)).tolist() == [0, 1, 0]
