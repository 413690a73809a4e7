"""The interface of a compressed embedding that comparisons of keys need."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from nncompress.embedding.keys import SINGLE_KEYS, Key
from nncompress.embedding.sharded_table import Table
from nncompress.embedding.sketch import inverse_lengths
from nncompress.errors import InputError


class KeyedRows(Protocol):
    """The parts of a compressed embedding that comparisons need."""

    table: Table

    @property
    def has_words(self) -> bool:
        """Whether rows have words."""

    @property
    def index_to_key(self) -> Sequence[Key]:
        """Each row's word, or the row's number if it has none."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, keys: Any, /) -> np.ndarray: ...

    def get_index(self, key: Key, default: Any = None, /) -> Any:
        """Returns the row of a key, or a default."""

    def similarity(self, one: Key, other: Key, /) -> float:
        """Returns the cosine between the vectors of two keys."""

    def most_similar(
        self,
        positive: Any,
        negative: None,
        topn: int | None,
        *,
        restrict_vocab: int | None,
        probe: int | None,
        rows: Any,
    ) -> Any:
        """Returns pairs of key and cosine, nearest first, or all cosines."""


def units(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors divided by their lengths, float32 ``(n, D)``; zeros stay zeros."""
    return (vectors * inverse_lengths(vectors)[:, None]).astype(np.float32)


def list_of_keys(keys: Iterable) -> list:
    """Returns a list of keys.

    Raises:
        InputError: A single key was given, whose letters would be taken for keys.
    """
    if isinstance(keys, SINGLE_KEYS):
        raise InputError(f"one key, {keys!r}, was given; wanted a list of keys: [{keys!r}]")
    return list(keys)
