"""Attributes of rows besides their vectors: arrays in a table's ``extras``, by name."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from nncompress.embedding.keys import Key
from nncompress.embedding.sharded_table import Table


class WithExtras(Protocol):
    """The parts of a compressed embedding that attributes need."""

    table: Table
    extras: dict[str, np.ndarray]

    def get_index(self, key: Key, /) -> Any:
        """Returns the row of a key."""


def get_vecattr(embedding: WithExtras, key: Key, attr: str) -> Any:
    """Returns an attribute of a key: its entry in the array of that name in ``extras``.

    Raises:
        KeyError: The key is missing, or there is no such array with an entry for each row.
    """
    row = embedding.get_index(key)
    attributes = row_attributes(embedding.extras, embedding.table.num_rows)
    if attr not in attributes:
        raise KeyError(
            f"{attr!r} is not an attribute of the rows, which have "
            f"{', '.join(attributes) or 'none'}; to add one, set emb.extras[name] to an array "
            "with an entry for each row"
        )
    return attributes[attr][row]


def row_attributes(extras: Mapping[str, np.ndarray], num_rows: int) -> dict[str, np.ndarray]:
    """Returns the arrays beside a table's rows that have an entry for each row."""
    arrays = {name: np.asarray(array) for name, array in extras.items()}
    return {name: array for name, array in arrays.items() if array.shape[:1] == (num_rows,)}
