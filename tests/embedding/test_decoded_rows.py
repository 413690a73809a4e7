import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nncompress import CompressedEmbedding, InputError
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
        ((3, 4, 5), "3 indices; wanted a row number"),
        ((slice(3), None), "2 indices; wanted a row number"),
        ((..., ...), "2 indices; wanted a row number"),
        ((700, 2), "there is no row 700"),
        ((slice(3), 9), "index 9 is out of bounds"),
        (([0, 1], -10), "index -10 is out of bounds"),
        (([0, 1], [0, 1, 2]), "shape mismatch"),
        ([[1], [2, 3]], "wanted a row number"),
        ([10**30], "wanted a row number"),
    ],
)
def test_what_is_no_row_number_is_refused(vectors, rows, message):
    with pytest.raises(IndexError, match=message):
        vectors[rows]


CELLS = [
    (3, 5), (-1, -9), (slice(None), slice(10)), (slice(2, 40, 7), slice(None, None, -2)),
    (slice(None), 3), ([5, -2, 5], slice(2, 5)), (slice(5, 5), 1), (slice(4), [0, 0, -1]),
    (np.empty(0, int), 3), ([1, 2], [3, -4]), ([[1], [2]], [3, 4, 5]), (7, [1, 2]), ([3], 2),
    np.ix_([4, 699], [0, 8]), (slice(6), np.arange(9) % 2 == 0), (np.arange(700) % 9 == 2, 4),
    (np.arange(700) < 9, np.arange(9)), (..., 2), (4, ...), (..., slice(3), slice(3)), (...,), (),
    (3,), (slice(3), slice(None)), (np.int32(3), np.uint8(1)), (slice(2), np.zeros((2, 3), int)),
]  # fmt: skip


@pytest.mark.parametrize("cells", CELLS)
def test_rows_and_columns_are_those_of_an_array(vectors, decoded, each_engine, monkeypatch, cells):
    monkeypatch.setattr("nncompress.embedding.decoded_rows._NUMBERS_AT_ONCE", 27)
    expected, found = decoded[cells], vectors[cells]
    assert type(found) is (np.ndarray if np.ndim(expected) else np.float32)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_ellipsis_alone_is_the_whole_table(vectors, embedding):
    assert (vectors[...] == embedding.to_numpy()).all()


def test_it_is_computed_with_as_an_array_is(vectors, embedding):
    array, column = embedding.to_numpy(), np.arange(9, dtype=np.float32)
    for ours, expected in [
        (2 * vectors - column, 2 * array - column),
        (vectors / vectors, array / array),
        (-vectors, -array),
        (vectors > 0, array > 0),
        (vectors @ column, array @ column),
        (column @ vectors.T, column @ array.T),
        (np.dot(vectors, column), np.dot(array, column)),
        (np.square(vectors), array * array),
        (np.add.reduce(vectors, axis=1), np.add.reduce(array, axis=1)),
        (np.linalg.norm(vectors, axis=1), np.linalg.norm(array, axis=1)),
        (np.vstack([vectors, vectors[:2]]), np.vstack([array, array[:2]])),
        (vectors.mean(axis=0), array.mean(axis=0)),
        (vectors.astype(np.float16), array.astype(np.float16)),
        (vectors.reshape(-1, 3), array.reshape(-1, 3)),
        (np.array(vectors.tolist(), np.float32), array),
    ]:
        assert type(ours) is np.ndarray
        assert ours.dtype == expected.dtype
        np.testing.assert_array_equal(ours, expected)
    assert (vectors.size, vectors.nbytes) == (array.size, array.nbytes)


def test_copies_and_pickles_are_the_same_rows(vectors):
    for other in (copy.deepcopy(vectors), pickle.loads(pickle.dumps(vectors))):
        assert (np.asarray(other) == np.asarray(vectors)).all()


def test_what_arrays_have_to_be_changed_by_is_not_there(vectors):
    for name in ("fill", "sort", "put", "resize", "nothing"):
        with pytest.raises(AttributeError, match=f"no '{name}' on decoded rows, which are"):
            getattr(vectors, name)


def test_rows_cannot_be_written(vectors, embedding):
    before = np.asarray(vectors)
    for write in (
        lambda: vectors.__setitem__(3, 0.0),
        lambda: vectors.__iadd__(1.0),
        lambda: np.multiply(before, 2, out=vectors),
    ):
        with pytest.raises(InputError, match=r"read-only; .* emb\.add\(words, vectors\)"):
            write()
    vectors[3][:] = 0.0
    assert (np.asarray(vectors) == before).all()
    with pytest.raises(AttributeError):
        embedding.vectors = np.zeros((700, 9))
