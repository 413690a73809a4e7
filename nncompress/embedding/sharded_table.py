"""Rows in several tables, one after the other, used as one table."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.residual_table import ResidualTable, SingleTable

_CODES_AT_ONCE = 65_536


class ShardedTable:
    """Tables of rows with the same codebook, axes and entropy tables, as one.

    Args:
        shards: The tables, at least one; none of them is a ``ShardedTable``.

    Attributes:
        shards: As given.
        first_rows: The number of each shard's first row, int64.
        num_rows: N.
        dim: D.
        num_codebooks: M; 0 without additive codes.
        num_codewords: K; 0 without additive codes.
    """

    def __init__(self, shards: Sequence[SingleTable]) -> None:
        self.shards = list(shards)
        ends = np.cumsum([shard.num_rows for shard in self.shards])
        self.num_rows = int(ends[-1])
        self.first_rows = ends - [shard.num_rows for shard in self.shards]
        self._firsts = self.first_rows.tolist()
        first = self.shards[0]
        self.dim = first.dim
        self.num_codebooks, self.num_codewords = first.num_codebooks, first.num_codewords

    @property
    def row_bytes(self) -> float:
        """Bytes per row, on average, including the index of blocks."""
        return sum(shard.row_bytes * shard.num_rows for shard in self.shards) / self.num_rows

    @property
    def shared_bytes(self) -> int:
        """Bytes shared by all rows: the codebook, the axes and the tables."""
        return self.shards[0].shared_bytes

    def vector(self, row: int) -> np.ndarray:
        """Returns a row, float32 ``(D,)``."""
        shard = bisect_right(self._firsts, row) - 1
        return self.shards[shard].vector(row - self._firsts[shard])

    def decode(self, rows: np.ndarray | slice) -> np.ndarray:
        """Returns rows, float32 ``(n, D)``.

        Args:
            rows: Indices, int64 and below N, or a slice.
        """
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self.num_rows))
        first = self.shards[0]
        if isinstance(first, CodeTable):  # gathered shard by shard, then decoded together
            packed = np.empty((len(rows), first.packed.shape[1]), np.uint8)
            for shard, places in self._by_shard(rows):
                own = rows[places] - self._firsts[shard]
                packed[places] = cast(CodeTable, self.shards[shard]).packed_of(own)
            return first.with_rows(packed).decode(slice(None))
        decoded = np.empty((len(rows), self.dim), np.float32)
        for shard, places in self._by_shard(rows):
            own = rows[places] - self._firsts[shard]
            decoded[places] = self.shards[shard].decode(own)
        return decoded

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields all rows in blocks: the number of the first row, and the rows, float32."""
        for begin, shard in zip(self._firsts, self.shards, strict=True):
            for first, rows in shard.blocks():
                yield begin + first, rows

    def nearest(
        self, query: np.ndarray, count: int, num_rows: int, left_out: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows with the largest cosines, in descending order, and the cosines.

        Args:
            query: float32 ``(D,)``, of length 1.
            count: The number of rows, at least 1.
            num_rows: The number of leading rows to search.
            left_out: Rows to leave out, int64.
        """
        rows, scores = [], []
        for begin, shard in self._leading(num_rows):
            own = left_out[(left_out >= begin) & (left_out < begin + shard.num_rows)] - begin
            of_shard = min(num_rows - begin, shard.num_rows)
            found, theirs = shard.nearest(query, count, of_shard, own)
            rows.append(found + begin)
            scores.append(theirs)
        all_rows, all_scores = np.concatenate(rows), np.concatenate(scores)
        # Shards are in row order, so equal scores stay in row order.
        order = np.argsort(-all_scores, kind="stable")[:count]
        return all_rows[order], all_scores[order]

    def cosines(self, query: np.ndarray, num_rows: int | None = None) -> np.ndarray:
        """Returns the cosines between a vector of length 1 and rows, float32 ``(n,)``.

        Args:
            query: float32 ``(D,)``.
            num_rows: n, the number of leading rows; all by default.
        """
        num_rows = self.num_rows if num_rows is None else num_rows
        return np.concatenate([
            shard.cosines(query, min(num_rows - begin, shard.num_rows))
            for begin, shard in self._leading(num_rows)
        ])  # fmt: skip

    def cosines_of(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns the cosines of some rows only, equal to those of ``cosines``.

        Args:
            query: float32 ``(D,)``.
            rows: Row numbers, int64 ``(n,)``.
        """
        scores = np.empty(len(rows), np.float32)
        for shard, places in self._by_shard(rows):
            own = rows[places] - self._firsts[shard]
            scores[places] = self.shards[shard].cosines_of(query, own)
        return scores

    def _leading(self, num_rows: int) -> Iterator[tuple[int, SingleTable]]:
        """Yields the shards that hold leading rows, with the numbers of their first rows."""
        for begin, shard in zip(self._firsts, self.shards, strict=True):
            if begin < num_rows:
                yield begin, shard

    def _by_shard(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray | slice]]:
        """Yields each shard that holds some of the rows: its number, and where in ``rows``."""
        owners = np.searchsorted(self.first_rows, rows, side="right") - 1
        if len(rows) and (owners == owners[0]).all():
            yield int(owners[0]), slice(None)
            return
        order = np.argsort(owners, kind="stable")
        cuts = np.flatnonzero(np.diff(owners[order])) + 1
        for places in np.split(order, cuts):
            if len(places):
                yield int(owners[places[0]]), places


# Any table that a compressed embedding may hold.
Table = SingleTable | ShardedTable


def shards_of(table: Table) -> list[SingleTable]:
    """Returns the shards of a table, or the table itself if it is not a ``ShardedTable``."""
    return table.shards if isinstance(table, ShardedTable) else [table]


def codes_of(table: Table) -> Iterator[np.ndarray]:
    """Yields the additive codes of all rows in blocks, uint8 or uint16 ``(n, M)``."""
    for shard in shards_of(table):
        additive = shard.additive if isinstance(shard, ResidualTable) else shard
        if additive is not None:
            for first in range(0, shard.num_rows, _CODES_AT_ONCE):
                yield additive.codes(slice(first, first + _CODES_AT_ONCE))
