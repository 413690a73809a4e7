"""The nearest rows of some rows, and how many of them another table keeps."""

import numpy as np

from nncompress.embedding.similarity import moderate

NEIGHBOURS = 10
# Fewer rows have no neighbours to speak of.
FEWEST_ROWS = 2 * NEIGHBOURS + 1
# Cosines of rows that differ by rounding alone.
_ROUNDING = 1e-12


def units(rows: np.ndarray) -> np.ndarray:
    """Returns rows divided by their lengths, zeros as they are, ``(n, D)``."""
    rows = moderate(rows)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


class Nearest:
    """The rows that are nearest to some of them by cosine, found in one pass over all.

    Args:
        queries: Numbers of the rows that are asked for their neighbours, int64 ``(Q,)``.
        rows: These rows, ``(Q, D)``.
        wanted: How many neighbours each is to have.

    Attributes:
        cosines: The largest cosines so far, in falling order, float32 ``(Q, wanted)``; -inf where
            there are fewer.
        numbers: The rows that they belong to, int64 ``(Q, wanted)``; -1 where there are fewer.
    """

    def __init__(self, queries: np.ndarray, rows: np.ndarray, wanted: int) -> None:
        self._queries, self._units = queries, units(rows)
        self.cosines = np.full((len(queries), wanted), -np.inf, np.float32)
        self.numbers = np.full((len(queries), wanted), -1, np.int64)

    def look_at(self, start: int, rows: np.ndarray) -> None:
        """Looks at rows ``(n, D)``, the first of which has the number ``start``."""
        scores = self._units @ units(rows).T
        mine = (self._queries >= start) & (self._queries < start + len(rows))
        scores[mine, self._queries[mine] - start] = -np.inf
        # Few rows are nearer than the farthest of the nearest so far, once there are some.
        asked, found = np.nonzero(scores > self.cosines.min(axis=1, keepdims=True))
        for query in np.unique(asked):
            first, last = np.searchsorted(asked, (query, query + 1))
            here = found[first:last]
            cosines = np.concatenate([self.cosines[query], scores[query, here]])
            numbers = np.concatenate([self.numbers[query], here + start])
            keep = np.argsort(-cosines, kind="stable")[: self.cosines.shape[1]]
            self.cosines[query], self.numbers[query] = cosines[keep], numbers[keep]


def kept(queries: np.ndarray, found: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Returns the share of rows found in another table that are among the nearest in the original.

    Where rows are equally near, any of them is right.

    Args:
        queries: The original's rows that were asked, ``(Q, D)``.
        found: The original's rows that were found for each, ``(Q, n, D)``.
        last: The original's n-th nearest row of each, ``(Q, D)``.

    Returns:
        float64 ``(Q,)``.
    """
    all_rows = np.concatenate([found, last[:, None]], axis=1).astype(np.float64)
    others = units(all_rows.reshape(-1, found.shape[2])).reshape(all_rows.shape)
    cosines = np.einsum("qd,qnd->qn", units(queries.astype(np.float64)), others)
    return (cosines[:, :-1] >= cosines[:, -1:] - _ROUNDING).mean(axis=1)
