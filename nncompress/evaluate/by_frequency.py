"""The benefit of frequencies: errors weighted by frequency, with and without them, at one size."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.residual import Residual
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError
from nncompress.evaluate.choosing import Chooser
from nncompress.evaluate.distortion import distances
from nncompress.evaluate.sample import SampleSize
from nncompress.evaluate.target import Target
from nncompress.machine import Machine
from nncompress.progress import progress_bar
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.frequencies import Frequencies
from nncompress.sources.matrix import spaced_rows
from nncompress.trellis.quantizer import Quantizer
from nncompress.trellis.row_weights import bit_weights
from nncompress.trellis.stage import Remainder, code_rows, fit_quantizer

_BLOCK_ROWS = 8_192
# The rows that steps are tried on, and the number of rows of each kind coded without frequencies.
_SAMPLE = SampleSize(fitted=4_096, held_out=2_048, queries=8, trials=5)
_CODED_ROWS = 4_096
# The most times that a quantizer is fitted, and how close it has to come to the wanted bits.
_FITS, _NEAR = 4, 0.005


@dataclass(frozen=True)
class Errors:
    """Mean squared distances, divided by the mean squared distance of rows from the mean row.

    Attributes:
        by_frequency: With rows weighted by their shares of a text.
        of_rows: With all rows weighted equally.
    """

    by_frequency: float
    of_rows: float


@dataclass(frozen=True)
class Bought:
    """The benefit of frequencies.

    Attributes:
        frequencies: The frequencies.
        errors: The errors of the compressed table, measured on all rows.
        without: The approximate errors at the same size without frequencies, estimated from a
            sample; None if they were not estimated.
    """

    frequencies: Frequencies
    errors: Errors
    without: Errors | None = None

    @property
    def facts(self) -> dict[str, object]:
        """The errors by name, rounded to five digits."""
        facts: dict[str, object] = {"matched_rows": self.frequencies.matched}
        for ending, errors in (("", self.errors), ("_without_frequencies", self.without)):
            if errors is not None:
                facts["error_by_frequency" + ending] = float(f"{errors.by_frequency:.5g}")
                facts["error_of_rows" + ending] = float(f"{errors.of_rows:.5g}")
        return facts

    def __str__(self) -> str:
        errors, without = self.errors, self.without
        line = (
            f"Relative error {errors.by_frequency:.4g} weighted by frequency, "
            f"{errors.of_rows:.4g} with equal weights"
        )
        if without is None:
            return line
        return (
            f"{line}; without frequencies, at the same size, about {without.by_frequency:.4g} "
            f"and {without.of_rows:.4g}, estimated from a sample"
        )


def measure_bought(
    table: Table,
    matrix: EmbeddingMatrix,
    frequencies: Frequencies,
    machine: Machine,
    *,
    by_length: bool = False,
) -> Bought:
    """Measures the benefit of the frequencies that a table was made with.

    Args:
        table: The compressed table. Without a residual stage, there is no estimate without
            frequencies, since the additive codes would have to be learnt again.
        matrix: The original, ``(N, D)``.
        frequencies: The frequencies of rows.
        machine: The machine to compute on.
        by_length: Whether, without frequencies, rows get bits by their length.
    """
    errors = measure_errors(matrix, table.decode, frequencies)
    if not isinstance(table, ResidualTable):
        return Bought(frequencies, errors)
    additive, remainder = table.additive, Remainder(matrix)
    if additive is not None:
        codes = additive.codes(slice(None))
        remainder = Remainder(matrix, codes, additive.codebook.astype(np.float32))
    weights = bit_weights(matrix, None) if by_length else None
    without = errors_without(remainder, table.residual, weights, frequencies, machine)
    return Bought(frequencies, errors, without)


def measure_errors(
    matrix: EmbeddingMatrix,
    decode: Callable[[slice], np.ndarray],
    frequencies: Frequencies,
) -> Errors:
    """Measures the errors of a compressed table's rows.

    Args:
        matrix: The original, ``(N, D)``.
        decode: Takes a slice and returns the decoded rows, float32 ``(n, D)``.
        frequencies: The frequencies of rows.
    """
    by_frequency = of_rows = 0.0
    with progress_bar(len(matrix), "Measuring distances") as bar:
        for start, rows in matrix.batches(_BLOCK_ROWS):
            block = slice(start, start + len(rows))
            squares = 2 * distances(rows, decode(block))[0]
            by_frequency += float(frequencies.shares[block] @ squares)
            of_rows += float(squares.sum()) / len(matrix)
            bar.update(len(rows))
    return _relative(matrix, frequencies, by_frequency, of_rows)


def errors_without(
    remainder: Remainder,
    residual: Residual,
    weights: np.ndarray | None,
    frequencies: Frequencies,
    machine: Machine,
) -> Errors | None:
    """Estimates the errors of rows coded without frequencies at the same size.

    A quantizer is fitted as for the whole table, and some thousand rows are coded with it: evenly
    spaced rows, whose bits determine the step, and rows drawn in proportion to their frequencies.

    Args:
        remainder: The rows to code, ``(N, D)``.
        residual: The rows as coded with frequencies.
        weights: The weights by which rows get bits without frequencies, float64 ``(N,)``; None
            for equal weights.
        frequencies: The frequencies of rows.
        machine: The machine to compute on.

    Returns:
        The errors; None if no step gives so few bits.
    """
    num_rows = len(remainder.matrix)
    alike = spaced_rows(_CODED_ROWS, num_rows)
    # Each of these represents the same share of a text; the most frequent rows appear repeatedly.
    places = (np.arange(_CODED_ROWS) + 0.5) / _CODED_ROWS
    places = np.searchsorted(np.cumsum(frequencies.shares), places)
    occurring, times = np.unique(np.minimum(places, num_rows - 1), return_counts=True)
    try:
        quantizer, squares = _coded_as(residual, alike, remainder, weights, machine)
    except InputError:
        return None
    _, others = _coded(occurring, quantizer, remainder, weights, machine)
    by_frequency = float(times @ others) / _CODED_ROWS
    return _relative(remainder.matrix, frequencies, by_frequency, float(squares.mean()))


def _coded_as(
    residual: Residual,
    rows: np.ndarray,
    remainder: Remainder,
    weights: np.ndarray | None,
    machine: Machine,
) -> tuple[Quantizer, np.ndarray]:
    """Returns a quantizer that gives rows the same bits, and the squared distance of each row."""
    bits = 8 * residual.row_bytes
    target = Target(residual_bits=bits)
    choice = Chooser(remainder, target, machine, weights, size=_SAMPLE).choose()
    settings, basis = replace(choice.settings, block_rows=residual.stream.block_rows), None
    for _ in range(_FITS):
        quantizer, _ = fit_quantizer(remainder, settings, machine, weights, basis=basis)
        basis = quantizer.basis
        reached, squares = _coded(rows, quantizer, remainder, weights, machine)
        if abs(reached / bits - 1) < _NEAR:
            break
        # Doubling the step saves one bit per axis in each row.
        step = settings.step * 2 ** ((reached - bits) / quantizer.projection.shape[1])
        settings = replace(settings, step=step)
    return quantizer, squares


def _coded(
    rows: np.ndarray,
    quantizer: Quantizer,
    remainder: Remainder,
    weights: np.ndarray | None,
    machine: Machine,
) -> tuple[float, np.ndarray]:
    """Codes rows; returns the mean bits of a row, and the squared distance of each."""
    own = None if weights is None else weights[rows]
    residual = code_rows(remainder.part(rows), quantizer, machine, own)
    left = np.zeros((len(rows), remainder.shape[1]), np.float32)
    residual.add_to(np.arange(len(rows)), left)
    original, restored = remainder.matrix.take(rows), remainder.restored(rows, left)
    return 8 * residual.row_bytes, 2 * distances(original, restored)[0]


def _relative(
    matrix: EmbeddingMatrix, frequencies: Frequencies, by_frequency: float, of_rows: float
) -> Errors:
    """Divides mean squared distances by those from the mean row, unless the table is constant."""
    spread = 2 * matrix.mean_row_loss(frequencies.shares), 2 * matrix.mean_row_loss()
    return Errors(by_frequency / (spread[0] or 1.0), of_rows / (spread[1] or 1.0))
