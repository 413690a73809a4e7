import numpy as np
import pytest

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.residual_table import ResidualTable
from nncompress.evaluate.by_frequency import measure_bought
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.frequencies import table_frequencies
from nncompress.sources.tables import SourceTable
from nncompress.trellis.quantizer import Settings
from nncompress.trellis.row_weights import bit_weights
from nncompress.trellis.stage import Remainder, make_residual


@pytest.fixture
def matrix(random):
    sizes = random.uniform(0.5, 2, size=(3_000, 1))
    return EmbeddingMatrix((sizes * random.normal(size=(3_000, 12)) + 1).astype(np.float32))


@pytest.fixture
def frequencies(matrix):
    words = [f"w{i}" for i in range(len(matrix))]
    counts = {word: 1e6 / (1 + i) for i, word in enumerate(words[::3])}
    return table_frequencies(SourceTable(matrix, words), counts, None)


def errors(matrix, decoded, shares):
    """Returns the relative errors by frequency and of all rows alike, by the definition."""
    rows = matrix.take(np.arange(len(matrix))).astype(np.float64)
    squares = ((rows - decoded) ** 2).sum(axis=1)
    found = []
    for weights in (shares, np.full(len(rows), 1 / len(rows))):
        spread = ((rows - weights @ rows) ** 2).sum(axis=1)
        found.append((weights @ squares) / (weights @ spread))
    return found


@pytest.mark.parametrize("by_length", [False, True])
def test_what_the_same_bits_come_to_without_frequencies_is_told_from_a_sample(
    matrix, frequencies, by_length
):
    """Compares with a table that is made without them, by a step that takes as many bits."""
    machine, remainder = Machine(), Remainder(matrix)
    weights = bit_weights(matrix, frequencies.weights, by_length=by_length)
    table = ResidualTable(make_residual(remainder, Settings(1.0), machine, weights))
    bought = measure_bought(table, matrix, frequencies, machine, by_length=by_length)
    expected = errors(matrix, table.decode(slice(None)), frequencies.shares)
    np.testing.assert_allclose(
        [bought.errors.by_frequency, bought.errors.of_rows], expected, rtol=1e-4
    )

    other_weights = bit_weights(matrix, None) if by_length else None
    low, high = 0.1, 10.0
    for _ in range(8):
        step = (low * high) ** 0.5
        residual = make_residual(remainder, Settings(step), machine, other_weights)
        too_large = residual.row_bytes > table.residual.row_bytes
        low, high = (step, high) if too_large else (low, step)
    decoded = ResidualTable(residual).decode(slice(None))
    by_frequency, of_rows = errors(matrix, decoded, frequencies.shares)
    assert bought.without.of_rows == pytest.approx(of_rows, rel=0.1)
    assert bought.without.by_frequency == pytest.approx(by_frequency, rel=0.2)
    assert bought.errors.by_frequency < 0.9 * bought.without.by_frequency
    assert bought.errors.of_rows > bought.without.of_rows


def test_additive_codes_are_measured_alone_and_with_what_they_leave(matrix, frequencies, random):
    codes = random.integers(4, size=(len(matrix), 3))
    codebook = random.normal(size=(12, 12)).astype(np.float32)
    additive = CodeTable.of_codes(codes, codebook)
    alone = measure_bought(additive, matrix, frequencies, Machine())
    expected = errors(matrix, additive.decode(slice(None)), frequencies.shares)
    np.testing.assert_allclose([*vars(alone.errors).values()], expected, rtol=1e-4)
    assert alone.without is None
    assert set(alone.facts) == {"matched_rows", "error_by_frequency", "error_of_rows"}

    weights = bit_weights(matrix, frequencies.weights)
    remainder = Remainder(matrix, codes, codebook)
    residual = make_residual(remainder, Settings(1.0), Machine(), weights)
    both = measure_bought(ResidualTable(residual, additive), matrix, frequencies, Machine())
    assert both.errors.by_frequency < both.without.by_frequency < alone.errors.by_frequency
    assert len(both.facts) == 5
    assert f"about {both.without.by_frequency:.4g} and" in str(both)


def test_a_table_of_one_row_many_times_has_no_error():
    matrix = EmbeddingMatrix(np.ones((50, 4), np.float32))
    words = [f"w{i}" for i in range(50)]
    frequencies = table_frequencies(SourceTable(matrix, words), {"w3": 9}, None)
    table = ResidualTable(make_residual(Remainder(matrix), Settings(0.5), Machine()))
    bought = measure_bought(table, matrix, frequencies, Machine())
    assert bought.errors.by_frequency == pytest.approx(0, abs=1e-6)
    assert "Relative error" in str(bought)
