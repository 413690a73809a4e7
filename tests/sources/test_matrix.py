import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.sources import EmbeddingMatrix


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_float_type_is_read_as_float32(tmp_path, matrix, dtype, order):
    stored = np.asarray(matrix, dtype=dtype, order=order)
    np.save(tmp_path / "m.npy", stored)
    opened = EmbeddingMatrix.open(tmp_path / "m.npy")
    rows = np.concatenate([rows for _, rows in opened.batches(64)])
    assert rows.dtype == np.dtype("=f4")
    assert (rows == stored.astype("=f4")).all()
    picked = opened.take(np.array([5, 0, 5]))
    assert picked.flags.c_contiguous
    assert (picked == stored.astype("=f4")[[5, 0, 5]]).all()


def test_limit_takes_the_first_rows_and_at_most_all(matrix_path, matrix):
    assert EmbeddingMatrix.open(matrix_path, limit=7).shape == (7, 12)
    assert EmbeddingMatrix.open(matrix_path, limit=7).total_rows == 300
    assert EmbeddingMatrix.open(matrix_path, limit=1000).shape == matrix.shape
    with pytest.raises(InputError, match="limit on rows is 0"):
        EmbeddingMatrix.open(matrix_path, limit=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_the_first_row_that_is_not_finite_is_named(matrix, value):
    broken = matrix.astype(np.float64)
    broken[[17, 200], [3, 0]] = value
    with pytest.raises(InputError, match=r"in row 17, column 3"):
        EmbeddingMatrix(broken)


def test_a_bad_row_beyond_the_limit_does_not_matter(matrix):
    matrix[100, 0] = np.nan
    assert len(EmbeddingMatrix(matrix, limit=100)) == 100


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5, np.float32), r"shape \(5,\)"),
        (np.zeros((2, 3, 4), np.float32), r"shape \(2, 3, 4\)"),
        (np.zeros((0, 4), np.float32), "is empty"),
        (np.zeros((4, 0), np.float32), "is empty"),
        (np.zeros((4, 4), np.int64), "holds int64"),
        (np.zeros((4, 4), np.complex64), "holds complex64"),
        (np.array([["a", "b"]]), "holds <U1"),
    ],
)
def test_other_arrays_are_refused_in_memory_and_in_files(tmp_path, array, message):
    with pytest.raises(InputError, match=message):
        EmbeddingMatrix(array)
    np.save(tmp_path / "m.npy", array)
    with pytest.raises(InputError, match=message):
        EmbeddingMatrix.open(tmp_path / "m.npy")


def test_files_that_are_no_matrices_are_refused(tmp_path, matrix):
    path = tmp_path / "m.npy"
    with pytest.raises(InputError, match="does not exist"):
        EmbeddingMatrix.open(path)
    with pytest.raises(InputError, match="is a directory"):
        EmbeddingMatrix.open(tmp_path)
    for content in (b"", b"king 0.1 0.2\n", b"\x93NUMPY", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"is not a \.npy file"):
            EmbeddingMatrix.open(path)
    np.save(path, np.array([[object()]]), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        EmbeddingMatrix.open(path)
    np.save(path, matrix)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="wanted a matrix that is complete"):
        EmbeddingMatrix.open(path)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "<f4"])
def test_unit_rows_keep_directions_alone(random, dtype):
    stored = random.normal(size=(10, 3)).astype(dtype)
    stored[4] = 0
    rows = EmbeddingMatrix(stored, unit_rows=True)
    exact = stored.astype(np.float64)
    exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-300)
    np.testing.assert_allclose(rows.take(np.arange(10)), exact, rtol=1e-6)
    batches = np.concatenate([block for _, block in rows.batches(4)])
    np.testing.assert_allclose(batches, exact, rtol=1e-6)
    chosen = np.array([[7, 4], [0, 1]])
    source, indices = rows.source_of(chosen)
    np.testing.assert_allclose(source[indices], exact[chosen], rtol=1e-6)
    assert rows.digest() != EmbeddingMatrix(stored).digest()


def test_a_signalling_nan_is_refused_without_a_warning(tmp_path):
    matrix = np.ones((3, 2))
    matrix.view(np.uint64)[1, 1] = 0x7FF0000000000001
    np.save(tmp_path / "x.npy", matrix)
    with pytest.raises(InputError, match="has nan in row 1, column 1"):
        EmbeddingMatrix.open(tmp_path / "x.npy")
