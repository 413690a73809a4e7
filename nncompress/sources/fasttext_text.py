"""Text, split as fastText splits it, and the buckets of word n-grams.

Source: ``Dictionary::readWord``, ``getLine`` and ``addWordNgrams`` of fastText 0.9.
"""

import numpy as np

from nncompress.sources.ngrams import EOS, fnv1a

LABEL = b"__label__"  # the prefix of labels; models do not store a different choice
_FACTOR = np.uint64(116_049_371)


def word_ngram_buckets(tokens: list[bytes], most_words: int, num_buckets: int) -> np.ndarray:
    """Returns the buckets of a line's n-grams of two or more words, in fastText's order.

    Args:
        tokens: The line's words, with its end-of-line token.
        most_words: The most words of an n-gram.
        num_buckets: The number of buckets.

    Returns:
        int64 ``(n,)``.
    """
    if most_words < 2 or not num_buckets or len(tokens) < 2:
        return np.empty(0, np.int64)
    # Hashes are signed, and are sign-extended to 64 bits.
    hashes = np.array([_hash(token) for token in tokens], np.uint32)
    wide = hashes.view(np.int32).astype(np.int64).view(np.uint64)
    so_far, none = wide, -1
    buckets = np.full((len(tokens), min(most_words, len(tokens)) - 1), none, np.int64)
    for more in range(1, buckets.shape[1] + 1):
        so_far = so_far[: len(tokens) - more] * _FACTOR + wide[more:]
        buckets[: len(so_far), more - 1] = so_far % np.uint64(num_buckets)
    return buckets[buckets != none]


def tokens_of(line: bytes) -> list[bytes]:
    """Returns the tokens of a line up to and including its end, which is a token too."""
    tokens = [*line.replace(b"\0", b" ").split(), EOS]
    return tokens[: tokens.index(EOS) + 1]


def _hash(token: bytes) -> np.uint32:
    return fnv1a(np.frombuffer(token, np.uint8)[None])[0]
