"""Building an inverted file: finding centres in two steps on a sample, then each row's nearest.

A large table needs so many centres that comparing every row with all of them would take longer
than everything else. So centres are put into groups, about as many groups as there are centres in
each, and a row is compared only with the centres of its nearest groups (as in Nistér and
Stewénius, "Scalable Recognition with a Vocabulary Tree", CVPR 2006, who search a single group).
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.inverted_file import InvertedFile, witnesses_of
from nncompress.embedding.row_lists import RowLists
from nncompress.embedding.sharded_table import Table
from nncompress.embedding.sketch import inverse_lengths
from nncompress.errors import InputError
from nncompress.machine import usable_cores
from nncompress.progress import progress_bar
from nncompress.sources.matrix import spaced_rows

# The number of lists, as a multiple of the square root of the number of rows.
_LISTS = 4.0
_MOST_LISTS = 1 << 20
# Sampled rows per list (every fourth one is used to find the groups), and the most numbers in a
# sample.
_SAMPLED, _STRIDE, _MOST_NUMBERS = 40, 4, 1 << 27
# The number of nearest groups searched for a row, and the rounds in which centres move to the
# means of their rows.
_NEAREST_GROUPS, _ROUNDS = 8, 3
_BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class _Centres:
    """Centres in groups.

    Attributes:
        groups: Vectors of length 1, float32 ``(G, D)``.
        centres: The same, ordered by group, float32 ``(C, D)``.
        firsts: The first centre of each group, and C, int64 ``(G + 1,)``.
    """

    groups: np.ndarray
    centres: np.ndarray
    firsts: np.ndarray

    def nearest(self, rows: np.ndarray) -> np.ndarray:
        """Returns the centre with the largest product with each row, int64 ``(n,)``."""
        count = min(_NEAREST_GROUPS, len(self.groups))
        groups = np.argpartition(rows @ self.groups.T, -count, axis=1)[:, -count:].reshape(-1)
        order = np.argsort(groups, kind="stable")
        bounds = np.searchsorted(groups[order], np.arange(len(self.groups) + 1))
        nearest, largest = np.zeros(len(rows), np.int64), np.full(len(rows), -np.inf, np.float32)
        for group in np.flatnonzero(np.diff(bounds)):
            here = order[bounds[group] : bounds[group + 1]] // count
            first, last = self.firsts[group : group + 2]
            products = rows[here] @ self.centres[first:last].T
            best = products.argmax(axis=1)
            products = products[np.arange(len(here)), best]
            larger = products > largest[here]
            better = here[larger]
            nearest[better], largest[better] = first + best[larger], products[larger]
        return nearest


def build_index(table: Table, lists: int | None = None) -> InvertedFile:
    """Makes the inverted file of a table, decoding each row once.

    Besides a block of rows, it takes memory for a sample of rows (up to 512 MiB, and temporary
    arrays computed from it), for the lists, and for numbering and sorting rows by list: 7 bytes
    per row, or 9 with more than 65,536 lists.

    Args:
        table: The compressed rows.
        lists: The number of lists, C; None for 4 times the square root of the number of rows.

    Raises:
        InputError: The number of lists is out of range.
        ImportError: Numba or threadpoolctl is not installed.
    """
    from nncompress.refinement.blas import one_blas_thread

    most = min(table.num_rows, _MOST_LISTS)
    count = min(round(_LISTS * math.sqrt(table.num_rows)), most) if lists is None else lists
    if not 1 <= count <= most:
        raise InputError(f"{count} lists for {table.num_rows:,} rows; wanted 1 to {most:,}")
    threads = usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        found, own = one_blas_thread(_built)(table, count, pool, threads)
    return InvertedFile(
        found.centres.astype(np.float16), RowLists.of(own, count), witnesses_of(table)
    )


def _built(
    table: Table, count: int, pool: ThreadPoolExecutor, threads: int
) -> tuple[_Centres, np.ndarray]:
    """Returns the centres, and the number of each row's centre."""
    size = max(count, min(_SAMPLED * count, _MOST_NUMBERS // table.dim))
    sample = _units(table.decode(spaced_rows(size, table.num_rows)))
    centres = _found(sample, count, threads)
    for _ in range(_ROUNDS):
        centres = _moved(centres, sample, pool)
    own = np.empty(table.num_rows, np.min_scalar_type(count - 1))
    with progress_bar(table.num_rows, "Sorting rows into lists") as bar:
        for first, rows in table.blocks():
            place = first
            for nearest in pool.map(centres.nearest, map(_units, _blocks(rows))):
                own[place : place + len(nearest)] = nearest
                place += len(nearest)
            bar.update(len(rows))
    return centres, own


def _found(sample: np.ndarray, count: int, threads: int) -> _Centres:
    """Returns centres; those of a group are found among the sampled rows nearest to it."""
    from nncompress.trellis.clusters import find_centres, nearest

    num_groups = round(math.sqrt(count))
    few = sample[:: _STRIDE if len(sample) >= _STRIDE * num_groups else 1]
    groups = _units(find_centres(few, None, num_groups, threads))
    own, _ = nearest(sample, groups, threads)
    sizes = np.bincount(own, minlength=num_groups)
    shares = _shares(sizes, count)
    filled = np.flatnonzero(shares)
    parts = [
        find_centres(sample[own == group], None, int(shares[group]), threads) for group in filled
    ]
    firsts = np.concatenate([[0], np.cumsum(shares[filled])])
    return _Centres(groups[filled], _units(np.concatenate(parts)), firsts)


def _shares(sizes: np.ndarray, count: int) -> np.ndarray:
    """Distributes centres over groups in proportion to their rows, at most one per row.

    Args:
        sizes: The number of rows in each group, int64 ``(G,)``.
        count: The number of centres, at most the sum of ``sizes``.
    """
    # Differences of rounded cumulative shares, which add up exactly.
    return np.diff(np.cumsum(sizes) * count // sizes.sum(), prepend=0)


def _moved(centres: _Centres, sample: np.ndarray, pool: ThreadPoolExecutor) -> _Centres:
    """Returns the centres, each moved to the mean of the rows nearest to it."""
    sums = np.zeros(centres.centres.shape)
    blocks = list(_blocks(sample))
    for rows, own in zip(blocks, pool.map(centres.nearest, blocks), strict=True):
        order = np.argsort(own, kind="stable")
        here, firsts = np.unique(own[order], return_index=True)
        sums[here] += np.add.reduceat(rows[order], firsts, axis=0, dtype=np.float64)
    moved = _units(sums)
    empty = ~moved.any(axis=1)
    moved[empty] = centres.centres[empty]
    return _Centres(centres.groups, moved, centres.firsts)


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(rows), _BLOCK_ROWS):
        yield rows[first : first + _BLOCK_ROWS]


def _units(rows: np.ndarray) -> np.ndarray:
    """Returns rows divided by their lengths, float32; zeros stay zeros."""
    inverse = inverse_lengths(rows)[:, None]
    return np.where(inverse > 0, rows * inverse, 0.0).astype(np.float32)
