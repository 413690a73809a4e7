"""Encoding texts as the means of their tokens' rows, like static models."""

from collections.abc import Sequence

import numpy as np

from nncompress.embedding.token_ids import tokens_of
from nncompress.embedding.token_rows import TokenRows, WithExtras
from nncompress.errors import InputError
from nncompress.progress import progress_bar

_LEAST_LENGTH = 1e-32  # model2vec's: texts without tokens stay zero


def encode(
    embedding: WithExtras,
    texts: str | Sequence[str],
    tokenizer: object,
    *,
    normalize: bool = False,
    max_length: int | None = None,
    keep_unknown: bool = True,
    batch_size: int = 1024,
    show_progress_bar: bool = False,
) -> np.ndarray:
    """Returns the mean of the token vectors of each text, float32 ``(n, D)``.

    The table's rows must be tokens, as in model2vec, sentence-transformers' StaticEmbedding,
    WordLlama, or a language model. If ``extras`` has ``weights``, a number for each token, vectors
    are multiplied by them first; if it has ``mapping``, it gives each token's row. Rows are
    decoded as texts need them.

    Args:
        embedding: The table.
        texts: A list of texts, or a single text.
        tokenizer: A ``tokenizers.Tokenizer``, a transformers tokenizer, the path of a
            ``tokenizer.json`` or of a folder with one, or a function from a text to its token
            ids. No special tokens are added, and padding is removed.
        normalize: Whether to divide each vector by its length.
        max_length: The number of leading tokens of a text to use; None for all of them.
        keep_unknown: Whether to count unknown tokens, as sentence-transformers and WordLlama do;
            model2vec leaves them out.
        batch_size: The number of texts that are tokenized and decoded together.
        show_progress_bar: Whether to show a progress bar.

    Returns:
        One row per text, zero for a text without tokens; ``(D,)`` for a single text.

    Raises:
        InputError: A text is not a string, a number is out of bounds, or the tokenizer is of
            another kind or has tokens that the table lacks.
        FormatError: The tokenizer's file is of another kind.
    """
    alone = isinstance(texts, str)
    wanted = [texts] if isinstance(texts, str) else list(texts)
    for text in wanted:
        if not isinstance(text, str):
            raise InputError(f"a text is a {type(text).__name__}; wanted strings")
    _check_number("batch_size", batch_size)
    if max_length is not None:
        _check_number("max_length", max_length)
    rows = TokenRows(embedding)
    tokenized = tokens_of(tokenizer, rows.num_tokens, keep_unknown)
    vectors = np.zeros((len(wanted), rows.dim), np.float32)
    hidden = not show_progress_bar
    with progress_bar(len(wanted), "encoding", unit="text", disable=hidden) as bar:
        for first in range(0, len(wanted), batch_size):
            batch = tokenized(wanted[first : first + batch_size])
            _add_means([own[:max_length] for own in batch], rows, vectors[first:])
            bar.update(len(batch))
    if normalize:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + np.float32(_LEAST_LENGTH)
    return vectors[0] if alone else vectors


def _add_means(texts: list[np.ndarray], rows: TokenRows, vectors: np.ndarray) -> None:
    """Writes the mean of each text's token rows; leaves texts without tokens as they are."""
    flat = np.concatenate(texts)
    rows.check(flat)
    # Each row is decoded once, however often it occurs.
    tokens, places = np.unique(flat, return_inverse=True)
    decoded = rows.decode(tokens)
    ends = np.cumsum([len(own) for own in texts])
    for vector, own in zip(vectors, np.split(places, ends[:-1]), strict=False):
        if len(own):
            vector[:] = decoded[own].mean(axis=0)


def _check_number(name: str, number: int) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
        raise InputError(f"{name} is {number!r}; wanted an integer, at least 1")
