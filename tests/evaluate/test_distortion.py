import numpy as np
import pytest

from nncompress import InputError
from nncompress.embedding.code_table import CodeTable
from nncompress.evaluate.distortion import choose_codebook, measure
from nncompress.sources import EmbeddingMatrix


@pytest.fixture
def rows(decoded, random):
    return (decoded + 0.5 * random.normal(size=decoded.shape)).astype(np.float32)


def test_distortion_follows_the_definitions(table, decoded, rows):
    (measured,) = measure(EmbeddingMatrix(rows), [CodeTable.of_codes(*table[:2])])
    errors = np.linalg.norm(rows - decoded, axis=1)
    assert measured.loss == pytest.approx(0.5 * (errors**2).mean(), rel=1e-6)
    assert measured.distance == pytest.approx(errors.mean(), rel=1e-6)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(decoded, axis=1)
    assert measured.cosine == pytest.approx(
        ((rows * decoded).sum(axis=1) / norms).mean(), rel=1e-6
    )


def test_the_codebook_becomes_float16_where_that_adds_little(table, decoded, rows):
    codes = CodeTable.of_codes(*table[:2])
    for matrix, expected in ((rows, np.float16), (decoded.astype(np.float32), np.float32)):
        matrix = EmbeddingMatrix(matrix)
        (exact,) = measure(matrix, [codes])
        chosen, distortion, given = choose_codebook(matrix, codes)
        assert given == exact
        assert chosen.codebook.dtype == expected
        assert [distortion] == measure(matrix, [chosen])
        assert distortion.loss <= exact.loss * 1.001 or expected is np.float32
        assert choose_codebook(matrix, codes, "float32") == (codes, exact, exact)
        small, *_ = choose_codebook(matrix, codes, "float16")
        assert small.codebook.dtype == np.float16
        assert (small.packed == codes.packed).all()


def test_numbers_that_float16_cannot_hold_stay_in_float32():
    codes = CodeTable.of_codes(np.array([[0], [1]]), np.array([[1e5], [2e5]], np.float32))
    matrix = EmbeddingMatrix(np.array([[0.0], [3e5]], np.float32))
    assert choose_codebook(matrix, codes)[0] is codes
    with pytest.raises(InputError, match="too large for float16"):
        choose_codebook(matrix, codes, "float16")
    with pytest.raises(InputError, match="no codebook type 'int8'"):
        choose_codebook(matrix, codes, "int8")
