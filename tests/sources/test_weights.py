import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.weights import check_weights, read_weights


@pytest.fixture
def rows():
    return EmbeddingMatrix(np.ones((4, 2), np.float32))


@pytest.mark.parametrize("name", ["w.npy", "w.txt"])
def test_files_of_both_kinds_are_read(tmp_path, rows, name):
    numbers = np.array([3.0, 0.0, 5.0, 4.0])
    if name.endswith("npy"):
        np.save(tmp_path / name, numbers)
    else:
        (tmp_path / name).write_text("3\n0\n5e0\n 4.0 \n")
    np.testing.assert_allclose(read_weights(tmp_path / name, rows), numbers / 3, rtol=1e-15)


def test_the_rows_in_use_have_a_mean_of_one():
    rows = EmbeddingMatrix(np.ones((4, 2), np.float32), limit=2)
    assert check_weights(np.array([1, 3, 100, 100]), rows).tolist() == [0.5, 1.5]
    huge = check_weights(np.array([1e308, 1e308, 1.0, 1.0]), rows)
    assert huge.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "has 2 weights, but the matrix has 4 rows; wanted one weight a row"),
        ([1.0, -1.0, 1.0, 1.0], "has -1.0 for row 1"),
        ([1.0, 1.0, np.nan, 1.0], "has nan for row 2"),
        ([0.0] * 4, "only zeros"),
        ([[1.0]] * 4, r"of shape \(4, 1\); wanted one number a row"),
        (["a"] * 4, "wanted one number a row"),
    ],
)
def test_weights_that_cannot_be_used_are_named(rows, weights, message):
    with pytest.raises(InputError, match=message):
        check_weights(np.array(weights), rows)


def test_lines_that_are_no_numbers_are_named(tmp_path, rows):
    (tmp_path / "w.txt").write_text("1\ntwo\n")
    with pytest.raises(InputError, match=r"w.txt, line 2: b'two.*' is not a number"):
        read_weights(tmp_path / "w.txt", rows)
    with pytest.raises(InputError, match="does not exist; wanted weights"):
        read_weights(tmp_path / "none.txt", rows)
    with pytest.raises(InputError, match=r"does not exist; wanted weights in a .npy file"):
        read_weights(tmp_path / "none.npy", rows)
