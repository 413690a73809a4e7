"""An inverted file: the rows nearest to each of many centres, so that a search visits few rows.

Sources: Sivic and Zisserman, "Video Google: A Text Retrieval Approach to Object Matching in
Videos", ICCV 2003; Jégou et al., "Product Quantization for Nearest Neighbor Search", PAMI 2011
(a query is compared with the rows of the few centres nearest to it). Rows are not stored again:
the lists hold only their numbers.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nncompress.embedding.ranking import largest
from nncompress.embedding.row_lists import RowLists
from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError
from nncompress.sources.matrix import spaced_rows

HOW = "with: nncompress index FILE (in Python, build_index)"
# Rows that identify a table, and their tolerance, as a share of their largest number: engines
# round differently.
_WITNESSES, _ROUNDING = 16, 1e-4


@dataclass(frozen=True)
class InvertedFile:
    """The rows of a table, listed by their nearest centre.

    Attributes:
        centres: Vectors of length 1, float16 ``(C, D)``.
        lists: The rows of each centre.
        witnesses: Evenly spaced rows that identify the table, float32 ``(n, D)``.
        name: Its origin, for messages.
    """

    centres: np.ndarray
    lists: RowLists
    witnesses: np.ndarray
    name: str = "the index"

    @property
    def num_lists(self) -> int:
        """C."""
        return len(self.centres)

    @cached_property
    def _centres(self) -> np.ndarray:
        """The centres, float32, computed on first use."""
        with np.errstate(invalid="ignore"):  # in a damaged file
            return self.centres.astype(np.float32)

    def candidates(self, query: np.ndarray, probe: int) -> np.ndarray:
        """Returns the rows of the lists whose centres are nearest to a query, in ascending order.

        Args:
            query: float32 ``(D,)``.
            probe: The number of lists, at least 1; if there are fewer, all of them.

        Returns:
            Row numbers, int64. A damaged file may give any rows of the table, some of them twice.

        Raises:
            FormatError: The lengths of the lists are damaged.
        """
        with np.errstate(all="ignore"):  # in a damaged file
            scores = np.nan_to_num(self._centres @ query)
        return np.sort(self.lists.read(largest(scores, probe)))

    def refuse_other(self, table: Table) -> None:
        """Refuses a table that this index was not made for.

        Raises:
            InputError: The table has other rows.
        """
        shape = self.lists.num_rows, self.centres.shape[1]
        if shape != (table.num_rows, table.dim):
            raise InputError(
                f"{self.name} is for {shape[0]:,} rows of {shape[1]} columns, but the table has "
                f"{table.num_rows:,} of {table.dim}; make it again {HOW}"
            )
        found = witnesses_of(table)
        if found.shape == self.witnesses.shape:
            with np.errstate(all="ignore"):  # in a damaged file
                apart = np.abs(found - self.witnesses)
            if (apart <= _ROUNDING * np.abs(found).max()).all():
                return
        raise InputError(f"{self.name} is for a table with other rows; make it again {HOW}")


def witnesses_of(table: Table) -> np.ndarray:
    """Returns the rows that identify a table, float32 ``(n, D)``."""
    return table.decode(spaced_rows(_WITNESSES, table.num_rows))
