"""Rows decoded from codes on a GPU."""

from types import ModuleType

import numpy as np

from nncompress.embedding.code_table import CodeTable


class GpuTable:
    """Decodes the rows of a table of codes on the current GPU.

    Args:
        xp: CuPy.
        table: The codes and the codebook.
    """

    def __init__(self, xp: ModuleType, table: CodeTable) -> None:
        self._xp = xp
        self._table = table
        self._codebook = xp.asarray(table.codebook.astype(np.float32))
        self._first_units = np.arange(table.num_codebooks) * table.num_codewords

    def decode(self, rows: slice) -> object:
        """Returns rows on the GPU, float32 ``(n, D)``."""
        units = self._xp.asarray(self._table.codes(rows) + self._first_units)
        total = self._codebook[units[:, 0]]
        for group in range(1, self._table.num_codebooks):
            total += self._codebook[units[:, group]]
        return total
