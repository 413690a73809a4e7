import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nncompress import CompressedEmbedding
from nncompress.embedding.code_table import CodeTable


@pytest.fixture
def vectors(embedding):
    return embedding.vectors


@pytest.mark.parametrize(
    "rows",
    [
        3, -1, np.int8(-3), np.uint64(5), slice(1, 4), slice(None, None, -50), slice(-3, None),
        slice(5, 5), [[1, 2], [3, -4]], [], np.zeros((2, 0), int), np.array(7), range(0, 20, 3),
        np.array([[[0], [699], [-700]]]), np.array([200, 3], np.uint8), np.arange(700) % 7 == 2,
    ],
)  # fmt: skip
def test_rows_are_those_of_an_array(vectors, decoded, each_engine, rows):
    expected = decoded[np.array(rows, dtype=int) if isinstance(rows, (list, range)) else rows]
    found = vectors[rows]
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


ROWS = np.arange(30, dtype=np.float32)[:, None] * np.ones(2, np.float32)


@settings(deadline=None)  # Numba may be loaded in between
@given(
    npst.arrays(st.sampled_from(["i1", "i8", "u2"]), npst.array_shapes(min_dims=0, min_side=0))
    | st.slices(30)
)
def test_any_integers_are_taken_or_refused_as_numpy_does(rows):
    table = CompressedEmbedding.from_codes(np.arange(30)[:, None], ROWS)
    try:
        expected = ROWS[rows]
    except IndexError:
        with pytest.raises(IndexError, match="there is no row"):
            table.vectors[rows]
    else:
        np.testing.assert_array_equal(table.vectors[rows], expected)


def test_it_has_an_arrays_shape_and_becomes_one(vectors, embedding, decoded):
    assert vectors.shape == (700, 9)
    assert (len(vectors), vectors.ndim, vectors.dtype) == (700, 2, np.float32)
    array = np.asarray(vectors)
    assert array.dtype == np.float32
    assert (array == embedding.to_numpy()).all()
    assert np.array(vectors, dtype=np.float64).dtype == np.float64
    assert (np.vstack(list(vectors)) == array).all()
    np.testing.assert_allclose(vectors @ decoded[4], decoded @ decoded[4], atol=1e-4)
    assert "(700, 9)" in repr(vectors)
    with pytest.raises(ValueError, match="makes a new array"):
        vectors.__array__(copy=False)


def test_nothing_is_decoded_before_it_is_asked_for(embedding, monkeypatch):
    asked = []
    decode = CodeTable.decode

    def counted(self, rows):
        result = decode(self, rows)
        asked.append(len(result))
        return result

    monkeypatch.setattr(CodeTable, "decode", counted)
    vectors = embedding.vectors
    assert (len(vectors), vectors.shape, vectors.ndim) == (700, (700, 9), 2)
    repr(vectors)
    assert asked == []
    vectors[[[5, 6]]]
    assert asked == [2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (700, r"no row 700; wanted -700 to 699"),
        ([3, -701], "no row -701"),
        ([0.5], "indices of type float64"),
        (np.array([True, False]), r"indices of type bool and shape \(2,\)"),
        (True, "indices of type bool"),
        (None, "wanted a row number"),
        ("wörd 3", "wanted a row number"),
        ((3, 4), "2 indices; wanted a row number"),
        ([[1], [2, 3]], "wanted a row number"),
        ([10**30], "wanted a row number"),
    ],
)
def test_what_is_no_row_number_is_refused(vectors, rows, message):
    with pytest.raises(IndexError, match=message):
        vectors[rows]


def test_rows_cannot_be_written(vectors, embedding):
    with pytest.raises(TypeError):
        vectors[3] = 0.0
    vectors[3][:] = 0.0
    assert vectors[3].any()
    with pytest.raises(AttributeError):
        embedding.vectors = np.zeros((700, 9))
