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
    with pytest.raises(InputError, match="unknown codebook type 'int3'"):
        choose_codebook(matrix, codes, "int3")


def test_a_codebook_in_eight_bits_is_measured_as_it_is_stored(random):
    codes = random.integers(0, 16, (300, 4))
    table = CodeTable.of_codes(codes, random.normal(size=(64, 10)).astype(np.float32))
    rows = table.decode(slice(None)) + random.normal(size=(300, 10)).astype(np.float32)
    matrix = EmbeddingMatrix(rows)
    small, distortion, exact = choose_codebook(matrix, table, "int8")
    assert small.codebook_type == "8 bits"
    steps = np.abs(table.codebook).max(axis=1, keepdims=True) / 127
    assert (np.abs(small.codebook - table.codebook) <= 0.51 * steps).all()
    squares = np.square(rows - small.decode(slice(None)), dtype=np.float64).sum(axis=1)
    assert distortion.loss == pytest.approx(squares.mean() / 2)
    assert distortion.loss == pytest.approx(exact.loss, rel=0.01)
