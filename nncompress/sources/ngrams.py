"""The buckets of words' character n-grams, hashed as fastText and floret hash them.

Sources: ``Dictionary::computeSubwords`` and ``Dictionary::hash`` of fastText 0.9, whose method is
that of Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017; and
``Dictionary::murmurhash`` of floret 0.10, with MurmurHash3_x64_128 by Austin Appleby.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

FASTTEXT, FLORET = KINDS = ("fasttext", "floret")
EOS = b"</s>"  # the end of a line, which has no n-grams
FLORET_SEED = 2_166_136_261
MOST_HASHES = 4  # 32-bit numbers in a 128-bit hash
_FNV_START, _FNV_PRIME = np.uint32(2_166_136_261), np.uint32(16_777_619)
_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_BLOCK_NGRAMS = 1 << 22


@dataclass(frozen=True)
class Ngrams:
    """The character n-grams of words, and the hash that maps them to buckets.

    Attributes:
        kind: ``"fasttext"``: FNV-1a over signed bytes, one bucket for each n-gram; or
            ``"floret"``: MurmurHash3, ``hash_count`` buckets for each n-gram, and the whole word
            counts as an n-gram.
        min_n: The fewest characters of an n-gram.
        max_n: The most characters; if it is less than ``min_n``, words have no n-grams.
        num_buckets: The number of buckets.
        hash_count: The number of buckets of an n-gram.
        seed: The seed of MurmurHash3.
        begin: The marker before a word.
        end: The marker after it.
    """

    kind: str
    min_n: int
    max_n: int
    num_buckets: int
    hash_count: int = 1
    seed: int = FLORET_SEED
    begin: str = "<"
    end: str = ">"

    @property
    def has_any(self) -> bool:
        """Whether words have n-grams."""
        of_characters = self.max_n >= max(1, self.min_n)
        return self.num_buckets > 0 and (of_characters or self.kind == FLORET)

    def of(self, words: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the buckets of words' n-grams, in the same order as the library.

        Args:
            words: The words in UTF-8; invalid bytes count as characters.

        Returns:
            The buckets of all words, int64 ``(m,)``, and the positions where those of each word
            begin and those of the last word end, int64 ``(n + 1,)``.
        """
        if not self.has_any:
            return np.empty(0, np.int64), np.zeros(len(words) + 1, np.int64)
        begin, end = self.begin.encode(), self.end.encode()
        padded = [b"" if word == EOS else begin + word + end for word in words]
        text = np.frombuffer(b"".join(padded), np.uint8)
        ends = np.cumsum([0, *map(len, padded)], dtype=np.int64)
        owner, first, last = self._places(text, ends)
        if self.kind == FASTTEXT:
            hashes = _hashed(text, first, last, fnv1a)[:, None]
        else:
            hashes = _hashed(text, first, last, lambda rows: murmur3(rows, self.seed))
            hashes = hashes[:, : self.hash_count]
        counts = np.bincount(owner, minlength=len(words)) * hashes.shape[1]
        buckets = hashes.astype(np.int64).reshape(-1) % self.num_buckets
        return buckets, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def blocks(
        self, words: Iterable[bytes], num_buckets: int = _BLOCK_NGRAMS
    ) -> Iterator[tuple[list[bytes], np.ndarray, np.ndarray]]:
        """Goes through words in blocks, with the buckets of each.

        Args:
            words: The words in UTF-8.
            num_buckets: About how many buckets a block has at most, unless a single word has more.

        Yields:
            The words of a block, and the two arrays that ``of`` returns for them.
        """
        around = len(self.begin.encode()) + len(self.end.encode())
        of_characters = max(0, self.max_n + 1 - max(1, self.min_n))
        block: list[bytes] = []
        size = 0
        for word in words:
            own = 1 + (len(word) + around) * of_characters * self.hash_count
            if block and size + own > num_buckets:
                yield block, *self.of(block)
                block, size = [], 0
            block.append(word)
            size += own
        if block:
            yield block, *self.of(block)

    def _places(
        self, text: np.ndarray, ends: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the word of each n-gram, and where the n-gram begins and ends in the text.

        Args:
            text: The words with their markers, uint8.
            ends: Where each word begins, and where the last ends.
        """
        starts = np.flatnonzero((text & 0xC0) != 0x80)  # where characters begin
        bounds = np.append(starts, len(text))
        words = np.searchsorted(ends, starts, side="right") - 1
        # The number of characters from each one to the end of its word, and whether it is the
        # first.
        after = np.searchsorted(starts, ends[words + 1])
        left = after - np.arange(len(starts))
        is_first = starts == ends[words]
        sizes = np.arange(max(1, self.min_n), self.max_n + 1)
        fits = left[:, None] >= sizes
        if self.min_n <= 1 <= self.max_n:  # a marker alone is not an n-gram
            fits[:, 0] &= ~is_first & (left > 1)
        which, column = np.nonzero(fits)
        owner, first = words[which], starts[which]
        last = bounds[which + sizes[column]]
        if self.kind == FASTTEXT:
            return owner, first, last
        # The whole word comes before its n-grams.
        full = np.flatnonzero(np.diff(ends))
        owner = np.concatenate([full, owner])
        order = np.argsort(owner, kind="stable")
        first = np.concatenate([ends[full], first])[order]
        last = np.concatenate([ends[full + 1], last])[order]
        return owner[order], first, last


def fnv1a(rows: np.ndarray) -> np.ndarray:
    """Returns fastText's hashes of strings of one length, uint32 ``(n,)``.

    Bytes are signed, as in fastText; this is the only difference from FNV-1a.

    Args:
        rows: The bytes, uint8 ``(n, length)``.
    """
    hashes = np.full(len(rows), _FNV_START)
    for column in rows.T:
        hashes ^= column.view(np.int8).astype(np.uint32)
        hashes *= _FNV_PRIME
    return hashes


def murmur3(rows: np.ndarray, seed: int) -> np.ndarray:
    """Returns the MurmurHash3_x64_128 of strings of one length, as four numbers each.

    Args:
        rows: The bytes, uint8 ``(n, length)``.
        seed: The 32-bit seed.

    Returns:
        uint32 ``(n, 4)``.
    """
    length = rows.shape[1]
    padded = np.zeros((len(rows), -(-length // 16) * 16), np.uint8)
    padded[:, :length] = rows
    words = padded.view("<u8").astype(np.uint64, copy=False)
    one = np.full(len(rows), seed, np.uint64)
    other = one.copy()
    for place in range(0, words.shape[1], 2):
        is_whole = 8 * (place + 2) <= length
        one ^= _rotated(words[:, place] * _C1, 31) * _C2
        if is_whole:
            one = (_rotated(one, 27) + other) * np.uint64(5) + np.uint64(0x52DCE729)
        other ^= _rotated(words[:, place + 1] * _C2, 33) * _C1
        if is_whole:
            other = (_rotated(other, 31) + one) * np.uint64(5) + np.uint64(0x38495AB5)
    one ^= np.uint64(length)
    other ^= np.uint64(length)
    one += other
    other += one
    one, other = _mixed(one), _mixed(other)
    one += other
    other += one
    return np.stack([one, other], axis=1).astype("<u8", copy=False).view("<u4")


def _rotated(numbers: np.ndarray, bits: int) -> np.ndarray:
    return numbers << np.uint64(bits) | numbers >> np.uint64(64 - bits)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    for factor in (_MIX1, _MIX2):
        numbers = (numbers ^ numbers >> np.uint64(33)) * factor
    return numbers ^ numbers >> np.uint64(33)


def _hashed(
    text: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    hash_of: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Returns the hashes of parts of a text; parts of the same length are hashed together."""
    lengths = last - first
    hashes = hash_of(np.empty((0, 1), np.uint8))
    hashes = np.empty((len(first), *hashes.shape[1:]), np.uint32)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        hashes[rows] = hash_of(text[first[rows, None] + np.arange(length)])
    return hashes
