"""A table whose rows have a residual stage, after additive codes or alone."""

from collections.abc import Iterator

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.residual import Residual

_BLOCK_BYTES = 8 << 20


class ResidualTable:
    """Rows of an embedding matrix: additive codes, if there are any, and a residual stage.

    Args:
        residual: The residual stage.
        additive: The additive codes of the same rows; None for none.

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

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Goes through all rows: yields the number of a first row, and rows, float32."""
        group = self.residual.stream.block_rows
        step = max(1, _BLOCK_BYTES // (4 * self.dim * group)) * group
        for first in range(0, self.num_rows, step):
            yield first, self.decode(slice(first, first + step))
