"""Looking up rows of a table by token ids, as in static models.

A static model may have fewer rows than tokens (with model2vec's vocabulary quantization, rows are
cluster centres), and a weight for each token. The mapping from tokens to rows and the weights are
``extras`` beside the compressed rows, under model2vec's names.
"""

from typing import Protocol

import numpy as np

from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError
from nncompress.sources.token_weights import MAPPING, WEIGHTS


class WithExtras(Protocol):
    """The parts of a compressed embedding that texts need."""

    table: Table
    extras: dict[str, np.ndarray]


class TokenRows:
    """Decodes the rows of tokens, multiplied by their weights if there are any.

    Args:
        embedding: The compressed rows. In its ``extras``, ``mapping``, integers ``(T,)``, gives
            each token's row, and ``weights``, numbers ``(T,)``, each token's weight. Without a
            mapping, token t has row t.

    Attributes:
        num_tokens: T.
        dim: D.

    Raises:
        InputError: The mapping or the weights have the wrong shape, type or values.
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
            tokens: Token ids, int64, from 0 to T - 1.
        """
        rows = self._table.decode(tokens if self._mapping is None else self._mapping[tokens])
        if self._weights is not None:
            rows *= self._weights[tokens, None].astype(np.float32)
        return rows

    def check(self, tokens: np.ndarray) -> None:
        """Refuses token ids that are out of range.

        Raises:
            InputError: There is such an id.
        """
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.num_tokens:
            bad = tokens.min() if tokens.min() < 0 else tokens.max()
            raise InputError(
                f"the tokenizer returned token {bad}, but the table has tokens 0 to "
                f"{self.num_tokens - 1}; give the tokenizer that it was made with"
            )


def check_mapping(array: np.ndarray, num_rows: int) -> int:
    """Checks a mapping of tokens to rows and returns its number of tokens.

    Raises:
        InputError: It is not such a mapping.
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
    """Refuses weights that are not one number per token.

    Raises:
        InputError: They have the wrong shape or type.
    """
    if array.shape != (num_tokens,) or array.dtype.kind not in "fiu":
        raise InputError(
            f"the tokens' weights have shape {array.shape} and type {array.dtype}; wanted a "
            f"number for each of {num_tokens} tokens"
        )
