"""Finding the largest of many scores."""

from typing import Protocol

import numpy as np

from nncompress.embedding.engine import engine

_BLOCK = 64


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Returns the indices of the largest scores, in descending order; ties keep their order.

    Args:
        scores: float32 ``(n,)``, without NaN.
        count: The number of indices, at least 1; if there are fewer scores, all of them.
    """
    count = min(count, len(scores))
    whole = len(scores) // _BLOCK
    if whole > count:
        blocks = scores[: whole * _BLOCK].reshape(whole, _BLOCK)
        tops = np.empty(whole, dtype=np.float32)
        engine.call("maxima", (blocks, tops))
        # ``count`` blocks have a maximum at or above the ``count``-th largest one. No block
        # whose maximum is below that can contribute.
        chosen = np.flatnonzero(tops >= np.partition(tops, -count)[-count])
        inside = chosen[:, None] * _BLOCK + np.arange(_BLOCK)
        places = np.concatenate([inside.ravel(), np.arange(whole * _BLOCK, len(scores))])
    else:
        places = np.arange(len(scores))
    order = np.argsort(-scores[places], kind="stable")
    return places[order[:count]]


def best(scores: np.ndarray, count: int, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows with the largest scores, in descending order, and the scores.

    Args:
        scores: float32 ``(n,)``; the scores of rows left out are overwritten.
        count: The number of rows, at least 1.
        left_out: Rows to leave out, int64; numbers from n on are ignored.
    """
    scores[left_out[left_out < len(scores)]] = -np.inf
    rows = largest(scores, count)
    rows = rows[scores[rows] > -np.inf]
    return rows, scores[rows]


class Cosines(Protocol):
    """Rows that can be compared with a vector."""

    def cosines_of(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns the cosines between a vector and some rows, float32 ``(n,)``."""


def best_of(
    table: Cosines, query: np.ndarray, rows: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows with the largest cosines among some, in descending order, and the cosines.

    Args:
        table: The compressed rows.
        query: float32 ``(D,)``, of length 1.
        rows: Row numbers, int64 ``(n,)``.
        count: The number of rows wanted, at least 1.
    """
    which, scores = best(table.cosines_of(query, rows), count, np.empty(0, np.int64))
    return rows[which], scores
