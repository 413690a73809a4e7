"""Turning texts into token ids with all common kinds of tokenizer."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.sources.tokenizer import load_tokenizer

_WANTED = (
    "wanted a tokenizers.Tokenizer, a transformers tokenizer, the path of a tokenizer.json or of "
    "a folder with one, or a function from a text to its token ids"
)

TokensOf = Callable[[list[str]], list[np.ndarray]]


def tokens_of(tokenizer: Any, num_tokens: int, keep_unknown: bool) -> TokensOf:
    """Returns a function from texts to the token ids of each, int64 ``(n,)``.

    No special tokens are added. The tokenizer's own truncation applies; padding is removed.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``, a transformers tokenizer, the path of a
            ``tokenizer.json`` or of a folder with one, or a function of a text.
        num_tokens: The number of tokens in the table.
        keep_unknown: Whether to keep unknown tokens.

    Raises:
        InputError: The tokenizer is of another kind, or has more tokens than the table.
        FormatError: The file is not a tokenizer.
    """
    if isinstance(tokenizer, (str, os.PathLike)):
        tokenizer = load_tokenizer(tokenizer)
    if isinstance(tokenizer, type):
        raise InputError(f"the tokenizer is the class {tokenizer.__name__}; {_WANTED}")
    if hasattr(tokenizer, "encode_batch_fast"):
        _check_size(tokenizer.get_vocab_size(), num_tokens)
        unknown = None if keep_unknown else _unknown_token(tokenizer)
        return _without(unknown, lambda texts: _by_tokenizers(tokenizer, texts))
    if hasattr(tokenizer, "convert_tokens_to_ids") and callable(tokenizer):
        _check_size(len(tokenizer), num_tokens)
        unknown = None if keep_unknown else tokenizer.unk_token_id
        return _without(unknown, lambda texts: _by_transformers(tokenizer, texts))
    if not callable(tokenizer):
        raise InputError(f"the tokenizer is a {type(tokenizer).__name__}; {_WANTED}")
    if not keep_unknown:
        raise InputError(
            "keep_unknown=False was given with a function as the tokenizer, whose unknown token "
            "cannot be told; have the function leave unknown tokens out"
        )
    return lambda texts: [_checked(tokenizer(text)) for text in texts]


def _check_size(tokens: int, num_tokens: int) -> None:
    if tokens > num_tokens:
        raise InputError(
            f"the tokenizer has {tokens} tokens, but the table {num_tokens}; give the tokenizer "
            "that the table was made with"
        )


def _by_tokenizers(tokenizer: Any, texts: list[str]) -> list[np.ndarray]:
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    tokens = [np.array(encoding.ids, np.int64) for encoding in encodings]
    if tokenizer.padding is None:
        return tokens
    return [
        own[np.array(encoding.attention_mask, bool)]
        for own, encoding in zip(tokens, encodings, strict=True)
    ]


def _by_transformers(tokenizer: Any, texts: list[str]) -> list[np.ndarray]:
    options = {"add_special_tokens": False, "padding": False, "return_attention_mask": False}
    return [np.array(own, np.int64) for own in tokenizer(texts, **options)["input_ids"]]


def _without(
    unknown: int | None, tokens_of_texts: Callable[[list[str]], list[np.ndarray]]
) -> TokensOf:
    if unknown is None:
        return tokens_of_texts
    return lambda texts: [own[own != unknown] for own in tokens_of_texts(texts)]


def _unknown_token(tokenizer: Any) -> int | None:
    """Returns the id of the unknown token; None if there is none."""
    model = json.loads(tokenizer.to_str())["model"]
    if "unk_id" in model:  # a unigram model
        return model["unk_id"]
    token = model.get("unk_token")
    return None if token is None else tokenizer.token_to_id(token)


def _checked(numbers: Sequence[int]) -> np.ndarray:
    """Checks the result of a user's function and returns it as int64 ``(n,)``."""
    array = np.asarray(numbers)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(
            f"the tokenizer returned an array of shape {array.shape} and type {array.dtype} for "
            "a text; wanted a list of its token ids"
        )
    return array.astype(np.int64)
