"""Splitting the rows of a job into shards, each a file, and blocks that are encoded together."""

from dataclasses import dataclass

_BLOCK_BYTES, _MOST_BLOCK_ROWS = 32 << 20, 65_536
_SHARD_BYTES, _MOST_SHARD_ROWS = 1 << 28, 1 << 22
_USUAL_SHARDS = 256  # of the size that suits memory; with more rows, shards become larger
MOST_SHARDS = 4_096  # files that are mapped at once


@dataclass(frozen=True)
class Block:
    """Rows that are encoded together.

    Attributes:
        number: The block's number in its shard.
        first: The number of its first row.
        last: The number of the row after its last.
    """

    number: int
    first: int
    last: int

    @property
    def num_rows(self) -> int:
        """The number of its rows."""
        return self.last - self.first


@dataclass(frozen=True)
class ShardPlan:
    """Rows that are written to one file.

    Attributes:
        number: The shard's number in the job.
        first: The number of its first row.
        last: The number of the row after its last.
        block_rows: The number of rows in a block; the last one may have fewer.
    """

    number: int
    first: int
    last: int
    block_rows: int

    @property
    def num_rows(self) -> int:
        """The number of its rows."""
        return self.last - self.first

    @property
    def blocks(self) -> list[Block]:
        """Its blocks."""
        firsts = range(self.first, self.last, self.block_rows)
        return [
            Block(number, first, min(first + self.block_rows, self.last))
            for number, first in enumerate(firsts)
        ]


def shards_of_rows(
    first: int, last: int, shard_rows: int, dim: int, aligned: int
) -> list[ShardPlan]:
    """Splits rows into shards.

    Args:
        first: The number of the first row.
        last: The number of the row after the last.
        shard_rows: The number of rows in a shard.
        dim: D.
        aligned: The number of rows in a block is a multiple of this.
    """
    block_rows = block_rows_of(dim, aligned)
    return [
        ShardPlan(number, begin, min(begin + shard_rows, last), block_rows)
        for number, begin in enumerate(range(first, last, shard_rows))
    ]


def block_rows_of(dim: int, aligned: int) -> int:
    """Returns the number of rows of D columns in a block, a multiple of ``aligned``."""
    fitting = min(_MOST_BLOCK_ROWS, _BLOCK_BYTES // (4 * dim))
    return max(1, fitting // aligned) * aligned


def usual_shard_rows(num_rows: int, row_bytes: float, aligned: int) -> int:
    """Returns the default number of rows in a shard, such that a shard fits in memory.

    Args:
        num_rows: The number of rows in the job.
        row_bytes: The approximate number of bytes of an encoded row.
        aligned: The result is a multiple of this.
    """
    fitting = min(_MOST_SHARD_ROWS, int(_SHARD_BYTES / max(row_bytes, 1.0)))
    wanted = max(fitting, -(-num_rows // _USUAL_SHARDS))
    return max(1, -(-wanted // aligned)) * aligned
