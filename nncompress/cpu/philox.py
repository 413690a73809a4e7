"""Exponential(1) draws from a counter-based generator, by seed and position.

Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011 (Philox4x32-10). Its
NumPy twin in ``nncompress/random/noise.py`` documents what the counter and the key mean.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT, log

_U, _WIDE = np.uint32, np.uint64
_HALF, _WORD = _WIDE(32), _WIDE(0xFFFFFFFF)
_M0, _M1 = _WIDE(0xD2511F53), _WIDE(0xCD9E8D57)
_W0, _W1 = _WIDE(0x9E3779B9), _WIDE(0xBB67AE85)


@njit(**INLINE)
def _round(c0, c1, c2, c3, k0, k1):
    """Computes a round on words in 64 bits, whose upper halves may hold anything."""
    p0 = (c0 & _WORD) * _M0
    p1 = (c2 & _WORD) * _M1
    return (p1 >> _HALF) ^ c1 ^ k0, p1, (p0 >> _HALF) ^ c3 ^ k1, p0, k0 + _W0, k1 + _W1


@njit(**INLINE)
def philox(c0, c1, c2, c3, k0, k1):
    """Returns four random words for a counter of four words and a key of two, all uint32."""
    # Products of words have 64 bits. If words have 64 bits throughout and rounds are unrolled,
    # compilers work on many counters at once without moving words between vectors.
    c0, c1, c2, c3, k0, k1 = _WIDE(c0), _WIDE(c1), _WIDE(c2), _WIDE(c3), _WIDE(k0), _WIDE(k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    return _U(c0), _U(c1), _U(c2), _U(c3)


@njit(**JIT)
def draw_exponentials(out, bits, first_row, column, noise):
    """Draws some numbers for each row of a batch.

    Args:
        out: ``(numbers, n)``, overwritten; a multiple of four numbers.
        bits: uint32 ``(numbers, n)``, scratch.
        first_row: Position in the batch of ``out[:, 0]``.
        column: Number of the first group of four among a row's numbers, from 0.
        noise: uint32 ``(4,)``: low and high half of the seed, then the counter's last two words.
    """
    k0, k1, c2, c3 = noise[0], noise[1], noise[2], noise[3]
    first = _U(first_row)
    for four in range(out.shape[0] // 4):
        c1 = _U(column + four)
        bits0, bits1, bits2, bits3 = (
            bits[4 * four], bits[4 * four + 1], bits[4 * four + 2], bits[4 * four + 3]
        )  # fmt: skip
        for i in range(out.shape[1]):
            bits0[i], bits1[i], bits2[i], bits3[i] = philox(_U(first + _U(i)), c1, c2, c3, k0, k1)
    kind = out.dtype.type
    one, step, half = kind(1), kind(2.0**-32), kind(2.0**-33)
    draws, words = out.reshape(-1), bits.reshape(-1)
    for i in range(draws.size):
        # -log(w) for w = 1 - v, both computed from the bits so that each is precise where it is
        # small; where w is large, 1 - w is v as it was rounded.
        v = kind(words[i]) * step + half
        w = kind(~words[i]) * step + half
        draws[i] = (v - (one - w)) - log(w)
