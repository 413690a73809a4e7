"""Comparing the rows of a table with their reconstructions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nncompress.evaluate.bootstrap import Figure, figures, mean_figure
from nncompress.evaluate.distortion import Distortion, distances
from nncompress.evaluate.neighbours import FEWEST_ROWS, NEIGHBOURS, Nearest, kept
from nncompress.progress import progress_bar
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

QUERIES = 1_000
# The worst cosine is the mean over the worst rows, one in this many.
_WORST_OF = 100
_BLOCK_ROWS = 8_192

# Takes the numbers of rows, int64 (n,), and returns the rows, float32 (n, D).
Decode = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class RowComparison:
    """The measurements of each row.

    Attributes:
        squares: The squared distance of each row from its reconstruction, float64 ``(N,)``.
        spreads: The squared distance of each row from the mean row, float64 ``(N,)``.
        cosines: The cosine between each row and its reconstruction, float64 ``(N,)``; 0 if the
            reconstruction is 0, and NaN if the row itself is 0, since it has no direction.
        queries: The numbers of the evenly spaced rows whose nearest rows by cosine were compared,
            int64 ``(Q,)``; empty if the table has too few rows.
        before: The numbers of the 10 rows nearest to each query in the original, nearest first,
            int64 ``(Q, 10)``.
        after: The same in the other table.
        kept: For each query, the share of ``after`` that is as near in the original as the 10th
            of ``before``, float64 ``(Q,)``, so that equally near rows are interchangeable.
    """

    squares: np.ndarray
    spreads: np.ndarray
    cosines: np.ndarray
    queries: np.ndarray
    before: np.ndarray
    after: np.ndarray
    kept: np.ndarray

    @property
    def distances(self) -> np.ndarray:
        """The distance of each row from its reconstruction, float64 ``(N,)``."""
        return np.sqrt(self.squares)

    @property
    def distortion(self) -> Distortion:
        """The means over rows; for cosines, over rows that have a direction."""
        directed = self._directed
        cosine = float(directed.mean()) if len(directed) else 1.0
        return Distortion(0.5 * float(self.squares.mean()), float(self.distances.mean()), cosine)

    @property
    def figures(self) -> Mapping[str, Figure]:
        """The figures, by their names in ``Report``.

        - ``error``: the mean squared distance over the mean squared distance of rows from the mean
          row (just the squared distance if all rows are the same);
        - ``cosine``: the mean cosine, over rows that have a direction;
        - ``cosine_worst``: the mean of the smallest hundredth of the cosines, rounded up to a
          whole number of rows;
        - ``recall``: the mean of ``kept``.
        """
        (error,) = figures(self._error, len(self.squares))
        measured = {"error": error}
        if len(self._directed):
            both = figures(self._cosines, len(self._directed))
            measured["cosine"], measured["cosine_worst"] = both
        if len(self.kept):
            measured["recall"] = mean_figure(self.kept)
        return measured

    def basis(self, total_rows: int | None = None) -> str:
        """Describes in words the rows that the figures were measured on.

        Args:
            total_rows: The number of rows in the table that these are a sample of; None if these
                are all.
        """
        num_rows, asked = len(self.squares), len(self.kept)
        is_all = total_rows in (None, num_rows)
        rows = f"{num_rows:,} rows" if is_all else f"{num_rows:,} of {total_rows:,} rows"
        among = "" if is_all else " among these"
        return f"{rows}, neighbours of {asked:,}{among}" if asked else rows

    @property
    def _directed(self) -> np.ndarray:
        return self.cosines[~np.isnan(self.cosines)]

    def _error(self, rows: np.ndarray) -> np.ndarray:
        lost, spread = (each[rows].sum(axis=-1) for each in (self.squares, self.spreads))
        return (lost / np.where(spread > 0, spread, rows.shape[-1]))[None]

    def _cosines(self, rows: np.ndarray) -> np.ndarray:
        cosines = self._directed[rows]
        mean = cosines.mean(axis=-1)
        worst = -(-cosines.shape[-1] // _WORST_OF)
        cosines.partition(worst - 1, axis=-1)
        return np.stack([mean, cosines[..., :worst].mean(axis=-1)])


def compare_rows(
    matrix: EmbeddingMatrix, decode: Decode, num_queries: int = QUERIES
) -> RowComparison:
    """Compares the rows of a table with their reconstructions, in one pass over both.

    Args:
        matrix: The table, ``(N, D)``.
        decode: Takes ascending row numbers, int64 ``(n,)``, and returns the reconstructions,
            float32 ``(n, D)``.
        num_queries: The most rows whose neighbours are compared.

    Returns:
        The figures, with their intervals.
    """
    num_rows = len(matrix)
    asked = num_queries if num_rows >= FEWEST_ROWS else 0
    queries = spaced_rows(asked, num_rows) if asked else np.empty(0, np.int64)
    own = matrix.take(queries)
    others = decode(queries) if asked else own
    before, after = (Nearest(queries, rows, NEIGHBOURS) for rows in (own, others))
    centre = matrix.normalization.centre
    parts = []
    with progress_bar(num_rows, "Measuring rows") as bar:
        for start, rows in matrix.batches(_BLOCK_ROWS):
            decoded = decode(np.arange(start, start + len(rows)))
            losses, _, cosines = distances(rows, decoded)
            spreads = 2 * distances(rows, centre[None])[0]
            cosines[~rows.any(axis=1)] = np.nan
            parts.append(np.stack([2 * losses, spreads, cosines]))
            if asked:
                before.look_at(start, rows)
                after.look_at(start, decoded)
            bar.update(len(rows))
    shares = np.empty(0)
    if asked:
        found = matrix.take(after.numbers.ravel()).reshape(*after.numbers.shape, -1)
        shares = kept(own, found, matrix.take(before.numbers[:, -1]))
    return RowComparison(
        *np.concatenate(parts, axis=1), queries, before.numbers, after.numbers, shares
    )
