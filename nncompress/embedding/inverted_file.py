"""An inverted file: the rows nearest to each of many centres, so that few rows are looked at.

Sources: Sivic and Zisserman, "Video Google: A Text Retrieval Approach to Object Matching in
Videos", ICCV 2003; Jégou et al., "Product Quantization for Nearest Neighbor Search", PAMI 2011
(the rows of the few centres nearest to a query are compared with it). Rows are not kept a second
time: lists have their numbers, and the table has the rest.
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
# Rows by which a table is known again, and how far rounding, which differs between engines, may
# part them, as a share of the largest number among them.
_WITNESSES, _ROUNDING = 16, 1e-4


@dataclass(frozen=True)
class InvertedFile:
    """The rows of a table by the centre that each is nearest to.

    Attributes:
        centres: Vectors of length 1, float16 ``(C, D)``.
        lists: The rows of each centre.
        witnesses: Some rows of the table, spaced evenly, float32 ``(n, D)``.
        name: Where it is from, for messages.
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
        """The centres, float32, made when they are first needed."""
        with np.errstate(invalid="ignore"):  # of a damaged file
            return self.centres.astype(np.float32)

    def candidates(self, query: np.ndarray, probe: int) -> np.ndarray:
        """Returns the rows of the lists whose centres are nearest to a query, in rising order.

        Args:
            query: float32 ``(D,)``.
            probe: The number of lists, at least 1; all, if there are fewer.

        Returns:
            int64. A damaged file's may be any rows of the table, some of them twice.

        Raises:
            FormatError: The lengths of lists are damaged.
        """
        with np.errstate(all="ignore"):  # of a damaged file
            scores = np.nan_to_num(self._centres @ query)
        return np.sort(self.lists.read(largest(scores, probe)))

    def refuse_other(self, table: Table) -> None:
        """Refuses a table that this is no index of.

        Raises:
            InputError: It has other rows.
        """
        shape = self.lists.num_rows, self.centres.shape[1]
        if shape != (table.num_rows, table.dim):
            raise InputError(
                f"{self.name} is of {shape[0]:,} rows of {shape[1]} columns, and the table has "
                f"{table.num_rows:,} of {table.dim}; make it anew {HOW}"
            )
        found = witnesses_of(table)
        if found.shape == self.witnesses.shape:
            with np.errstate(all="ignore"):  # of a damaged file
                apart = np.abs(found - self.witnesses)
            if (apart <= _ROUNDING * np.abs(found).max()).all():
                return
        raise InputError(f"{self.name} is of a table with other rows; make it anew {HOW}")


def witnesses_of(table: Table) -> np.ndarray:
    """Returns the rows by which a table is known again, float32 ``(n, D)``."""
    return table.decode(spaced_rows(_WITNESSES, table.num_rows))
