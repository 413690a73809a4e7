"""Rows decoded from codes on a GPU."""

from types import ModuleType

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.codes import reconstruct


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

    def decode(self, rows: slice) -> object:
        """Returns rows on the GPU, float32 ``(n, D)``."""
        return reconstruct(self._xp.asarray(self._table.codes(rows)), self._codebook, self._xp)
