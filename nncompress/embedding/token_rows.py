"""The rows of a table by the numbers of tokens, as static models have them.

A static model may have fewer rows than tokens, and a weight for each token (model2vec's
vocabulary quantization: rows are then cluster centres). Both lie beside the compressed rows, as
``extras`` of the names that model2vec gives them.
"""

from typing import Protocol

import numpy as np

from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError
from nncompress.sources.token_weights import MAPPING, WEIGHTS


class WithExtras(Protocol):
    """A compressed embedding, as far as texts are concerned."""

    table: Table
    extras: dict[str, np.ndarray]


class TokenRows:
    """Decodes the rows of tokens, times their weights where there are any.

    Args:
        embedding: The compressed rows. Of its ``extras``, ``mapping``, integers ``(T,)``, has
            each token's row, and ``weights``, numbers ``(T,)``, each token's weight; without a
            mapping a token's row is its number.

    Attributes:
        num_tokens: T.
        dim: D.

    Raises:
        InputError: The mapping or the weights are something else.
    """

    def __init__(self, embedding: WithExtras) -> None:
        self._table = embedding.table
        extras = {name: np.asarray(array) for name, array in embedding.extras.items()}
        self._mapping, self._weights = extras.get(MAPPING), extras.get(WEIGHTS)
        self.dim, self.num_tokens = self._table.dim, self._table.num_rows
        if self._mapping is not None:
            self.num_tokens = check_mapping(self._mapping, self._table.num_rows)
        if self._weights is not None:
            check_weights(self._weights, self.num_tokens)

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Returns the rows of tokens, float32 ``(n, D)``.

        Args:
            tokens: Their numbers, int64, each from 0 to T - 1.
        """
        rows = self._table.decode(tokens if self._mapping is None else self._mapping[tokens])
        if self._weights is not None:
            rows *= self._weights[tokens, None].astype(np.float32)
        return rows

    def check(self, tokens: np.ndarray) -> None:
        """Refuses numbers that are no token's.

        Raises:
            InputError: There is one.
        """
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.num_tokens:
            bad = tokens.min() if tokens.min() < 0 else tokens.max()
            raise InputError(
                f"the tokenizer gives token {bad}; the table has tokens 0 to "
                f"{self.num_tokens - 1}, so give the tokenizer that it was made with"
            )


def check_mapping(array: np.ndarray, num_rows: int) -> int:
    """Returns the number of tokens of a mapping.

    Raises:
        InputError: It is none of tokens to rows.
    """
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"the mapping of tokens to rows has shape {array.shape} and type {array.dtype}; "
            "wanted an integer for each token"
        )
    if array.size and not 0 <= array.min() <= array.max() < num_rows:
        raise InputError(
            f"the mapping of tokens to rows has numbers from {array.min()} to {array.max()}; "
            f"wanted 0 to {num_rows - 1}"
        )
    return len(array)


def check_weights(array: np.ndarray, num_tokens: int) -> None:
    """Refuses weights that are no numbers, one for each token.

    Raises:
        InputError: They are something else.
    """
    if array.shape != (num_tokens,) or array.dtype.kind not in "fiu":
        raise InputError(
            f"the tokens' weights have shape {array.shape} and type {array.dtype}; wanted a "
            f"number for each of {num_tokens} tokens"
        )
