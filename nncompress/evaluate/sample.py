"""Measuring the quality of a residual stage, on a sample of a table's rows or on all of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.residual import Residual
from nncompress.evaluate.curve import HEADER_BYTES, CurvePoint
from nncompress.evaluate.distortion import distances
from nncompress.evaluate.neighbours import FEWEST_ROWS, NEIGHBOURS, Nearest, kept
from nncompress.machine import Machine
from nncompress.progress import progress_bar
from nncompress.sources.matrix import spaced_rows
from nncompress.trellis.basis import Basis, fit_basis
from nncompress.trellis.clusters import cluster_bits_for
from nncompress.trellis.quantizer import Settings, most_steps
from nncompress.trellis.stage import Remainder, code_rows, fit_quantizer

# In a large table, the number of queries for neighbours is limited to this many products.
_PRODUCTS, _LEAST_QUERIES = 2e11, 100
# One in eight queries is used in the sample, with this many candidates for the nearest rows.
_ONE_OF, _CANDIDATES = 8, 64
_SAMPLE_STATE_BITS = 6
# The approximate number of bytes in a block of rows.
_BLOCK_BYTES = 72
_MOST_BLOCK_ROWS = 16
_ROWS = 8_192
_SQUARED_ERROR = 0.3  # of a coded coordinate, in squared steps


@dataclass(frozen=True)
class SampleSize:
    """The numbers of rows in a sample. A table with fewer rows is measured whole.

    Attributes:
        fitted: The number of rows that quantizers are fitted to.
        held_out: The number of other rows, which quantizers are measured on.
        queries: The number of rows whose neighbours are compared.
        trials: The number of steps to try.
    """

    fitted: int = 8_192
    held_out: int = 2_048
    queries: int = 1_000
    trials: int = 8


class Rows:
    """The rows of a table, on which residual stages are measured.

    Args:
        remainder: The rows that the residual stage codes.
        machine: The machine to compute on.
        weights: The weights by which rows get bits, float64 ``(N,)``; None for equal weights.
        beside: The bytes stored besides the residual stage.
        size: The numbers of rows in the sample.

    Attributes:
        squares: The variances of rows along their principal axes, in descending order.
        mean_square: The mean squared length of the table's rows.
        typical: The root mean square of the numbers in a typical row: one at the median distance
            from the columns' medians.
    """

    def __init__(
        self,
        remainder: Remainder,
        machine: Machine,
        weights: np.ndarray | None,
        beside: int,
        size: SampleSize,
    ) -> None:
        self.remainder, self.weights = remainder, weights
        self._basis: Basis | None = None
        self._machine, self._beside = machine, beside
        num_rows, _ = remainder.shape
        rows = spaced_rows(size.fitted + size.held_out, num_rows)
        held_out = np.ones(len(rows), dtype=bool)
        self._fitted = rows
        if len(rows) < num_rows:
            held_out[:] = False
            held_out[spaced_rows(size.held_out, len(rows))] = True
            self._fitted = rows[~held_out]
        self._measured = rows[held_out]
        self._fit_part = remainder.part(self._fitted)
        fitted = self._fit_part.take(np.arange(len(self._fitted))).astype(np.float64)
        centred = fitted - fitted.mean(axis=0)
        squares = np.linalg.eigvalsh(centred.T @ centred / len(fitted))
        self.squares = np.maximum(squares[::-1], 0)
        about = fitted - np.median(fitted, axis=0)
        lengths = np.sqrt(np.einsum("nd,nd->n", about, about))
        self.typical = float(np.median(lengths)) / math.sqrt(fitted.shape[1])
        original = remainder.matrix.take(self._fitted)
        self.mean_square = float(np.einsum("nd,nd->n", original, original, dtype=float).mean())
        self._queries, self._candidates = self._find_neighbours(size.queries)

    def most_steps(self, step: float) -> float:
        """Returns the largest distance of a sampled row from its centre, in steps."""
        rows = self._fit_part.take(np.arange(len(self._fitted)))
        own = None if self.weights is None else self.weights[self._fitted]
        threads = self._machine.threads
        count = self.remainder.total_rows
        bits = cluster_bits_for(count, len(rows))
        basis = fit_basis(rows, own, bits, step**2 * _SQUARED_ERROR, count, threads)
        self._basis = basis
        return most_steps(rows, own, basis, threads) / step

    def of_sample(self, step: float) -> CurvePoint:
        """Estimates the point of a step from rows that nothing was fitted to."""
        settings = Settings(step, state_bits=_SAMPLE_STATE_BITS)
        own = None if self.weights is None else self.weights[self._fitted]
        quantizer, coded = fit_quantizer(
            self._fit_part, settings, self._machine, own, self.remainder.total_rows, self._basis
        )
        self._basis = quantizer.basis
        group = block_rows(float(coded.bits.mean()))
        in_blocks = replace(quantizer, settings=replace(quantizer.settings, block_rows=group))

        def stage(rows: np.ndarray) -> Residual:
            chosen = None if self.weights is None else self.weights[rows]
            return code_rows(self.remainder.part(rows), in_blocks, self._machine, chosen)

        residual = stage(self._measured)
        original = self.remainder.matrix.take(self._measured)
        total = distances(original, self._decoded(residual, self._measured)).sum(axis=1)
        means = _means(total, len(original), int(original.any(axis=1).sum()))
        recall = None
        if len(self._queries):
            queries, candidates = self._queries[::_ONE_OF], self._candidates[::_ONE_OF]
            rows = np.unique(np.concatenate([queries, candidates.ravel()]))
            decoded = self._decoded(stage(rows), rows)
            recall = self._recall(slice(None, None, _ONE_OF), rows, lambda chosen: decoded[chosen])
        return self._point(step, residual, means, recall)

    def of_all(self, step: float, residual: Residual) -> CurvePoint:
        """Measures the point of a stage on all rows."""
        num_rows = self.remainder.shape[0]
        total, directed = np.zeros(3), 0

        def decoded(rows: np.ndarray) -> np.ndarray:
            values = np.zeros((len(rows), self.remainder.shape[1]), np.float32)
            residual.add_to(rows, values)
            return self.remainder.restored(rows, values)

        with progress_bar(num_rows, "Measuring distances") as bar:
            for start, original in self.remainder.matrix.batches(_ROWS):
                rows = np.arange(start, start + len(original))
                total += distances(original, decoded(rows)).sum(axis=1)
                directed += int(original.any(axis=1).sum())
                bar.update(len(rows))
        recall = None
        if len(self._queries):
            recall = self._recall(slice(None), np.arange(num_rows), decoded)
        return self._point(step, residual, _means(total, num_rows, directed), recall)

    def bytes_per_row(self, residual: Residual) -> float:
        """Returns the bytes of the whole table per row, counting everything except words."""
        shared = residual.shared_bytes + self._beside + HEADER_BYTES
        return residual.row_bytes + shared / self.remainder.total_rows

    def shared_bytes_for(self, num_axes: int) -> float:
        """Estimates the bytes per row of the tables shared by all rows, for a number of axes."""
        dim = self.remainder.shape[1]
        axes = num_axes * dim / 2  # entries of about four bits
        return (axes + 4 * dim + self._beside + HEADER_BYTES) / self.remainder.total_rows

    def _point(
        self, step: float, residual: Residual, means: np.ndarray, recall: float | None
    ) -> CurvePoint:
        size = self.bytes_per_row(residual)
        return CurvePoint(step, 8 * residual.row_bytes, size, *means.tolist(), recall)

    def _decoded(self, residual: Residual, rows: np.ndarray) -> np.ndarray:
        """Returns decoded rows, given a stage of just these rows."""
        values = np.zeros((len(rows), self.remainder.shape[1]), np.float32)
        residual.add_to(np.arange(len(rows)), values)
        return self.remainder.restored(rows, values)

    def _find_neighbours(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns query rows, and the numbers of the rows nearest to each, nearest first."""
        num_rows, dim = self.remainder.shape
        if num_rows < FEWEST_ROWS:
            return np.empty(0, np.int64), np.empty((0, 0), np.int64)
        most = min(most, max(_LEAST_QUERIES, int(_PRODUCTS / (num_rows * dim))))
        matrix = self.remainder.matrix
        queries = spaced_rows(most, num_rows)
        nearest = Nearest(queries, matrix.take(queries), min(_CANDIDATES, num_rows - 1))
        with progress_bar(num_rows, "Finding neighbours") as bar:
            for start, rows in matrix.batches(_ROWS):
                nearest.look_at(start, rows)
                bar.update(len(rows))
        return queries, nearest.numbers

    def _recall(
        self, part: slice, rows: np.ndarray, decoded: Callable[[np.ndarray], np.ndarray]
    ) -> float:
        """Returns the mean share of neighbours kept among some rows.

        Args:
            part: The queries to use.
            rows: The numbers of the rows in ascending order, including the queries.
            decoded: Takes places in ``rows`` and returns the decoded rows.
        """
        queries, take = self._queries[part], self.remainder.matrix.take
        places = np.searchsorted(rows, queries)
        nearest = Nearest(places, decoded(places), NEIGHBOURS)
        for start in range(0, len(rows), _ROWS):
            nearest.look_at(start, decoded(np.arange(start, min(start + _ROWS, len(rows)))))
        found = take(rows[nearest.numbers.ravel()]).reshape(*nearest.numbers.shape, -1)
        last = take(self._candidates[part][:, NEIGHBOURS - 1])
        return float(kept(take(queries), found, last).mean())


def _means(total: np.ndarray, num_rows: int, directed: int) -> np.ndarray:
    """Returns means, given sums of losses, distances and cosines; zero rows have no cosine."""
    cosine = total[2] / directed if directed else 1.0
    return np.array([total[0] / num_rows, total[1] / num_rows, cosine])


def block_rows(bits: float) -> int:
    """Returns the number of rows in a block, given the bits per row."""
    wanted = 8 * _BLOCK_BYTES / max(bits, 1e-3)
    return min(_MOST_BLOCK_ROWS, 1 << max(0, math.ceil(math.log2(wanted))))
