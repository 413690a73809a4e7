"""The table of compressed matrices with their sizes and errors."""

from collections.abc import Iterable
from dataclasses import dataclass

from nncompress.matrix.op_interface import CompressionOpInterface


@dataclass(frozen=True)
class CompressedLayer:
    """A row of the table.

    Attributes:
        layer: The matrix's name.
        shape: Its shape, ``(m, n)``.
        method: The name of the option that it is compressed with.
        uncompressed_size: Bytes of the matrix.
        compressed_size: Bytes of its factors.
        relative_error: ``||A - compressed(A)|| / ||A||`` when A was factored; None before that,
            and for options without A.
    """

    layer: str
    shape: tuple[int, int]
    method: str
    uncompressed_size: int
    compressed_size: int
    relative_error: float | None

    @property
    def ratio(self) -> float:
        """The size of the matrix divided by that of its factors."""
        return _ratio(self.uncompressed_size, self.compressed_size)

    @property
    def is_smaller(self) -> bool:
        """Whether the factors take fewer bytes than the matrix."""
        return self.compressed_size < self.uncompressed_size


@dataclass(frozen=True)
class CompressionTable:
    """All compressed matrices; ``str`` formats them as a table with a line of totals.

    Attributes:
        rows: A row for each matrix.
    """

    rows: tuple[CompressedLayer, ...]

    @property
    def uncompressed_size(self) -> int:
        """Bytes of all matrices."""
        return sum(row.uncompressed_size for row in self.rows)

    @property
    def compressed_size(self) -> int:
        """Bytes of all their factors."""
        return sum(row.compressed_size for row in self.rows)

    @property
    def ratio(self) -> float:
        """The size of all matrices divided by that of all factors."""
        return _ratio(self.uncompressed_size, self.compressed_size)

    def __str__(self) -> str:
        lines = [("layer", "shape", "method", "bytes before", "after", "ratio", "relative error")]
        for row in self.rows:
            error = "-" if row.relative_error is None else f"{row.relative_error:.4f}"
            shape = " x ".join(map(str, row.shape))
            lines.append((row.layer, shape, row.method, *_numbers(row), error))
        lines.append(("all", "", "", *_numbers(self), ""))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if number < 3 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def compression_table(ops: Iterable[CompressionOpInterface]) -> CompressionTable:
    """Returns the table of ops in their current state."""
    return CompressionTable(tuple(map(compressed_layer, ops)))


def compressed_layer(op: CompressionOpInterface) -> CompressedLayer:
    """Returns the row of an op in its current state."""
    error = float(op.relative_error)
    return CompressedLayer(
        op.scope,
        op.shape,
        op.method,
        int(op.uncompressed_size),
        int(op.compressed_size),
        error if error >= 0 else None,
    )


def _ratio(before: int, after: int) -> float:
    return before / after if after else float("inf") if before else 1.0


def _numbers(row: CompressedLayer | CompressionTable) -> tuple[str, str, str]:
    return f"{row.uncompressed_size:,}", f"{row.compressed_size:,}", f"{row.ratio:.2f}"
