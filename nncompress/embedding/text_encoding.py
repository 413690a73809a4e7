"""Texts as vectors: the means of their tokens' rows, as static models have them."""

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

    The table is one whose rows are tokens: that of model2vec, of sentence-transformers'
    StaticEmbedding, of WordLlama, or a language model's. Where ``extras`` has ``weights``, a
    number for each token, vectors are multiplied by them first; where it has ``mapping``, that
    tells each token's row. Rows are decoded as texts need them.

    Args:
        embedding: The table.
        texts: Texts, or a single one.
        tokenizer: A ``tokenizers.Tokenizer``, a tokenizer of transformers, the path of a
            ``tokenizer.json`` or of a folder with one, or a function of a text that returns the
            numbers of its tokens. No special tokens are added, and padding is taken away.
        normalize: Whether to divide each vector by its length.
        max_length: The most tokens of a text, the first ones; None: all that the tokenizer gives.
        keep_unknown: Whether the token of what the tokenizer does not know is counted, as
            sentence-transformers and WordLlama have it; model2vec leaves it out.
        batch_size: The number of texts that are tokenized and decoded together.
        show_progress_bar: Whether to show one.

    Returns:
        A row for each text, zero for one without tokens; ``(D,)`` for a single text.

    Raises:
        InputError: A text is no string, a number is out of bounds, or the tokenizer is something
            else or has tokens that the table has not.
        FormatError: The tokenizer's file is something else.
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
    """Writes the means of the rows of each text's tokens; nothing for a text without."""
    flat = np.concatenate(texts)
    rows.check(flat)
    # Each row is decoded once, however often it is in the texts.
    tokens, places = np.unique(flat, return_inverse=True)
    decoded = rows.decode(tokens)
    ends = np.cumsum([len(own) for own in texts])
    for vector, own in zip(vectors, np.split(places, ends[:-1]), strict=False):
        if len(own):
            vector[:] = decoded[own].mean(axis=0)


def _check_number(name: str, number: int) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
        raise InputError(f"{name} is {number!r}; wanted a whole number, at least 1")
