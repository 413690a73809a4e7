"""The nearest neighbours of rows, and the share of them that another table keeps."""

import numpy as np

from nncompress.embedding.similarity import moderate

NEIGHBOURS = 10
# With fewer rows, neighbours mean little.
FEWEST_ROWS = 2 * NEIGHBOURS + 1
# Cosines that differ by no more than this differ only by rounding.
_ROUNDING = 1e-12


def units(rows: np.ndarray) -> np.ndarray:
    """Returns rows divided by their lengths, ``(n, D)``; rows of zeros stay zero."""
    rows = moderate(rows)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


class Nearest:
    """The nearest neighbours of some rows by cosine, found in one pass over all rows.

    Args:
        queries: Numbers of the rows whose neighbours to find, int64 ``(Q,)``.
        rows: These rows, ``(Q, D)``.
        wanted: The number of neighbours per row.

    Attributes:
        cosines: The largest cosines so far, in descending order, float32 ``(Q, wanted)``; -inf
            where there are fewer.
        numbers: The rows that they belong to, int64 ``(Q, wanted)``; -1 where there are fewer.
    """

    def __init__(self, queries: np.ndarray, rows: np.ndarray, wanted: int) -> None:
        self._queries, self._units = queries, units(rows)
        self.cosines = np.full((len(queries), wanted), -np.inf, np.float32)
        self.numbers = np.full((len(queries), wanted), -1, np.int64)

    def look_at(self, start: int, rows: np.ndarray) -> None:
        """Searches rows ``(n, D)``, the first of which has the number ``start``."""
        scores = self._units @ units(rows).T
        mine = (self._queries >= start) & (self._queries < start + len(rows))
        scores[mine, self._queries[mine] - start] = -np.inf
        # After the first blocks, few rows are nearer than the farthest of the nearest so far.
        asked, found = np.nonzero(scores > self.cosines.min(axis=1, keepdims=True))
        for query in np.unique(asked):
            first, last = np.searchsorted(asked, (query, query + 1))
            here = found[first:last]
            cosines = np.concatenate([self.cosines[query], scores[query, here]])
            numbers = np.concatenate([self.numbers[query], here + start])
            keep = np.argsort(-cosines, kind="stable")[: self.cosines.shape[1]]
            self.cosines[query], self.numbers[query] = cosines[keep], numbers[keep]


def kept(queries: np.ndarray, found: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Returns the share of neighbours in another table that are also nearest in the original.

    If several rows are equally near, any of them counts.

    Args:
        queries: The original rows of the queries, ``(Q, D)``.
        found: The original rows of the neighbours found for each query, ``(Q, n, D)``.
        last: The n-th nearest original row of each query, ``(Q, D)``.

    Returns:
        float64 ``(Q,)``.
    """
    all_rows = np.concatenate([found, last[:, None]], axis=1).astype(np.float64)
    others = units(all_rows.reshape(-1, found.shape[2])).reshape(all_rows.shape)
    cosines = np.einsum("qd,qnd->qn", units(queries.astype(np.float64)), others)
    return (cosines[:, :-1] >= cosines[:, -1:] - _ROUNDING).mean(axis=1)
