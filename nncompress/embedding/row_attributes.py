"""What is known of rows beside their vectors: arrays among a table's ``extras``, by name."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from nncompress.embedding.keys import Key
from nncompress.embedding.sharded_table import Table


class WithExtras(Protocol):
    """A compressed embedding with arrays beside its rows."""

    table: Table
    extras: dict[str, np.ndarray]

    def get_index(self, key: Key, /) -> Any:
        """Returns the row of a key."""


def get_vecattr(embedding: WithExtras, key: Key, attr: str) -> Any:
    """Returns the attribute of a key: its entry in the array of this name in ``extras``.

    Raises:
        KeyError: The key is missing, or there is no such array with an entry for each row.
    """
    row = embedding.get_index(key)
    attributes = row_attributes(embedding.extras, embedding.table.num_rows)
    if attr not in attributes:
        raise KeyError(
            f"{attr!r}: no attribute of the rows, which have {', '.join(attributes) or 'none'}; "
            "emb.extras[name] = an array with an entry for each row sets one"
        )
    return attributes[attr][row]


def row_attributes(extras: Mapping[str, np.ndarray], num_rows: int) -> dict[str, np.ndarray]:
    """Returns those of the arrays beside a table's rows that have an entry for each row."""
    arrays = {name: np.asarray(array) for name, array in extras.items()}
    return {name: array for name, array in arrays.items() if array.shape[:1] == (num_rows,)}
