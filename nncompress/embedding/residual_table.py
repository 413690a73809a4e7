"""A table whose rows have a residual stage, with or without additive codes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from nncompress.embedding.access import Access
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.ranking import best, best_of
from nncompress.embedding.residual import Residual
from nncompress.embedding.sketch import Sketch, inverse_lengths
from nncompress.machine import free_memory

_BLOCK_BYTES = 8 << 20
# A sketch is kept if it takes no more than this share of free memory.
_SHARE = 4


class ResidualTable:
    """Rows of an embedding matrix: additive codes, if there are any, and a residual stage.

    Args:
        residual: The residual stage.
        additive: The additive codes of the same rows, or None.

    Attributes:
        num_rows: N.
        dim: D.
        num_codebooks: M; 0 without additive codes.
        num_codewords: K; 0 without additive codes.
    """

    def __init__(self, residual: Residual, additive: CodeTable | None = None) -> None:
        self.residual, self.additive = residual, additive
        self.num_rows, self.dim = residual.num_rows, len(residual.mean)
        self.num_codebooks = 0 if additive is None else additive.num_codebooks
        self.num_codewords = 0 if additive is None else additive.num_codewords
        self._sketch: Sketch | None = None

    @property
    def row_bytes(self) -> float:
        """Bytes per row, on average, including the index of blocks."""
        own = self.residual.row_bytes
        return own if self.additive is None else own + self.additive.row_bytes

    @property
    def shared_bytes(self) -> int:
        """Bytes shared by all rows: the codebook, the axes and the tables."""
        own = self.residual.shared_bytes
        return own if self.additive is None else own + self.additive.shared_bytes

    def vector(self, row: int) -> np.ndarray:
        """Returns a row, float32 ``(D,)``."""
        return self.decode(np.array([row]))[0]

    def decode(self, rows: np.ndarray | slice) -> np.ndarray:
        """Returns rows, float32 ``(n, D)``.

        Args:
            rows: Indices, int64 and below N, or a slice.
        """
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self.num_rows))
        if self.additive is None:
            total = np.zeros((len(rows), self.dim), np.float32)
        else:
            total = self.additive.decode(rows)
        self.residual.add_to(rows, total)
        return total

    def blocks(self, num_rows: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yields rows in blocks: the number of the first row, and the rows, float32.

        Args:
            num_rows: The number of leading rows; all by default.
        """
        num_rows = self.num_rows if num_rows is None else num_rows
        group = self.residual.stream.block_rows
        step = max(1, _BLOCK_BYTES // (4 * self.dim * group)) * group
        for first in range(0, num_rows, step):
            yield first, self.decode(slice(first, min(first + step, num_rows)))

    def nearest(
        self, query: np.ndarray, count: int, num_rows: int, left_out: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows with the largest cosines, in descending order, and the cosines.

        A sketch of all rows, made by the first search, rules most of them out; only the rest are
        decoded. If there is not enough memory for a sketch, all rows are decoded.

        Args:
            query: float32 ``(D,)``, of length 1.
            count: The number of rows, at least 1.
            num_rows: The number of leading rows to search.
            left_out: Rows to leave out, int64.
        """
        sketch = self._sketched()
        if sketch is not None:
            rows = sketch.candidates(query, count, num_rows, left_out)
            if 2 * len(rows) < num_rows:
                return best_of(self, query, rows, count)
        return best(self.cosines(query, num_rows), count, left_out)

    def cosines(self, query: np.ndarray, num_rows: int | None = None) -> np.ndarray:
        """Returns the cosines between a vector of length 1 and rows, float32 ``(n,)``.

        Args:
            query: float32 ``(D,)``.
            num_rows: n, the number of leading rows, which are all decoded; all rows by default.
        """
        parts = [cosines(query, rows) for _, rows in self.blocks(num_rows)]
        return np.concatenate(parts)

    def cosines_of(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns the cosines of some rows only, equal to those of ``cosines``.

        Args:
            query: float32 ``(D,)``.
            rows: Row numbers, int64 ``(n,)``.
        """
        step = max(1, _BLOCK_BYTES // (4 * self.dim))
        parts = [
            cosines(query, self.decode(rows[first : first + step]))
            for first in range(0, max(1, len(rows)), step)
        ]
        return np.concatenate(parts)

    def _sketched(self) -> Sketch | None:
        """Returns the sketch, made on first use; None if it would take too much memory."""
        if self._sketch is None:
            free = free_memory()
            if free is not None and _SHARE * Sketch.size(self.num_rows, self.dim) > free:
                return None
            self._sketch = Sketch.of(self.blocks(), self.num_rows, self.dim)
        return self._sketch


# A table whose rows are all in one place.
SingleTable = CodeTable | ResidualTable


def cosines(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns the cosines between a vector of length 1 and rows ``(n, D)``, float32 ``(n,)``."""
    products = np.einsum("nd,d->n", rows, query, dtype=np.float64)
    inverse = inverse_lengths(rows)
    return np.where(inverse > 0, products * inverse, 0.0).astype(np.float32)


def with_access(table: SingleTable, access: Access) -> SingleTable:
    """Returns a table of the same rows, read through an access."""
    if isinstance(table, CodeTable):
        other = table.with_rows(table.packed)
        other.access = access
        return other
    additive = None if table.additive is None else with_access(table.additive, access)
    return ResidualTable(replace(table.residual, access=access), cast(CodeTable | None, additive))
