import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.sources.ngrams import FASTTEXT, FLORET, Ngrams, murmur3

WORDS = st.lists(st.one_of(st.text(max_size=8).map(str.encode), st.binary(max_size=8)), max_size=6)


def buckets_of(ngrams, words):
    """The buckets of each word, one list a word."""
    buckets, ends = ngrams.of(words)
    assert len(ends) == len(words) + 1
    return [buckets[i:j].tolist() for i, j in itertools.pairwise(ends)]


def plain(word, min_n, max_n, num_buckets):
    """fastText's computeSubwords, letter by letter."""
    if word == b"</s>":
        return []
    word, found = b"<" + word + b">", []
    for i in range(len(word)):
        if word[i] & 0xC0 == 0x80:
            continue
        j = i
        for n in range(1, max_n + 1):
            if j >= len(word):
                break
            j += 1
            while j < len(word) and word[j] & 0xC0 == 0x80:
                j += 1
            if n >= min_n and not (n == 1 and (i == 0 or j == len(word))):
                value = 2166136261
                for byte in word[i:j]:
                    signed = byte - 256 if byte > 127 else byte
                    value = (value ^ signed & 0xFFFFFFFF) * 16777619 & 0xFFFFFFFF
                found.append(value % num_buckets)
    return found


@given(WORDS, st.integers(0, 5), st.integers(0, 6), st.integers(1, 1 << 31))
def test_buckets_are_those_of_fasttexts_loop(words, min_n, max_n, num_buckets):
    ngrams = Ngrams(FASTTEXT, min_n, max_n, num_buckets)
    assert buckets_of(ngrams, words) == [plain(w, min_n, max_n, num_buckets) for w in words]


@pytest.mark.parametrize(("min_n", "max_n"), [(1, 3), (3, 6), (2, 2), (4, 3)])
def test_buckets_are_those_of_gensim(min_n, max_n):
    fasttext = pytest.importorskip("gensim.models.fasttext")
    words = ["the", "größenwahn", "日本語", "a", "", "a\u0301b", "<>", "x" * 50]
    theirs = [fasttext.ft_ngram_hashes(word, min_n, max_n, 977) for word in words]
    ngrams = Ngrams(FASTTEXT, min_n, max_n, 977)
    assert buckets_of(ngrams, [word.encode() for word in words]) == theirs


def plain_murmur3(key, seed):
    """MurmurHash3_x64_128, one block after the other."""
    mask, c1, c2 = (1 << 64) - 1, 0x87C37B91114253D5, 0x4CF5AD432745937F

    def rotated(x, r):
        return (x << r | x >> 64 - r) & mask

    def mixed(x):
        x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD & mask
        x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53 & mask
        return x ^ x >> 33

    h1 = h2 = seed
    whole = len(key) // 16 * 16
    for i in range(0, whole, 16):
        k1, k2 = (int.from_bytes(key[j : j + 8], "little") for j in (i, i + 8))
        h1 ^= rotated(k1 * c1 & mask, 31) * c2 & mask
        h1 = (rotated(h1, 27) + h2) * 5 + 0x52DCE729 & mask
        h2 ^= rotated(k2 * c2 & mask, 33) * c1 & mask
        h2 = (rotated(h2, 31) + h1) * 5 + 0x38495AB5 & mask
    k1, k2 = (int.from_bytes(part, "little") for part in (key[whole:][:8], key[whole:][8:]))
    h2 ^= rotated(k2 * c2 & mask, 33) * c1 & mask
    h1 ^= rotated(k1 * c1 & mask, 31) * c2 & mask
    h1, h2 = h1 ^ len(key), h2 ^ len(key)
    h1 = h1 + h2 & mask
    h2 = h2 + h1 & mask
    h1, h2 = mixed(h1), mixed(h2)
    h1 = h1 + h2 & mask
    h2 = h2 + h1 & mask
    return [h1 & 0xFFFFFFFF, h1 >> 32, h2 & 0xFFFFFFFF, h2 >> 32]


@given(st.binary(min_size=1, max_size=50), st.integers(0, (1 << 32) - 1))
def test_floret_hashes_with_murmurhash(key, seed):
    (hashes,) = murmur3(np.frombuffer(key, np.uint8)[None], seed)
    assert hashes.tolist() == plain_murmur3(key, seed)


@given(WORDS, st.integers(1, 4))
def test_floret_has_the_whole_word_and_several_buckets_for_each_ngram(words, hash_count):
    words = [word for word in words if word != b"</s>"]
    ngrams = Ngrams(FLORET, 2, 3, 1000, hash_count, 7, "«", "»")
    for word, found in zip(words, buckets_of(ngrams, words), strict=True):
        text = "«".encode() + word + "»".encode()
        chars = [i for i in range(len(text)) if text[i] & 0xC0 != 0x80] + [len(text)]
        parts = [text]
        for i in range(len(chars) - 1):
            parts += [text[chars[i] : chars[i + n]] for n in (2, 3) if i + n < len(chars)]
        hashes = [value for part in parts for value in plain_murmur3(part, 7)[:hash_count]]
        assert found == [value % 1000 for value in hashes]


def test_words_in_blocks_have_the_same_buckets():
    ngrams = Ngrams(FASTTEXT, 3, 6, 10_000)
    words = [b"word%d" % i for i in range(120_000)]
    blocks = list(ngrams.blocks(words))
    assert len(blocks) > 1
    assert [word for block, _, _ in blocks for word in block] == words
    last, buckets, ends = blocks[-1]
    assert buckets[ends[-2] :].tolist() == plain(last[-1], 3, 6, 10_000)


def test_blocks_are_as_small_as_they_are_asked_to_be():
    ngrams = Ngrams(FASTTEXT, 3, 6, 1000)
    words = [b"a" * length for length in (1, 5, 90, 7, 60, 4, 4)]
    blocks = list(ngrams.blocks(words, 100))
    assert [word for block, _, _ in blocks for word in block] == words
    assert all(len(buckets) <= 100 or len(block) == 1 for block, buckets, _ in blocks)
    assert len(blocks) < len(words)
