"""Exponential(1) draws from a counter-based generator, by seed and position.

Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011 (Philox4x32-10). Its
NumPy twin is in ``nncompress/random/noise.py``, with what the counter and the key mean.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT, log

_U = np.uint32
_HALF = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = _U(0x9E3779B9), _U(0xBB67AE85)


@njit(**INLINE)
def _round(c0, c1, c2, c3, k0, k1):
    p0 = np.uint64(c0) * _M0
    p1 = np.uint64(c2) * _M1
    return (
        _U(_U(p1 >> _HALF) ^ c1 ^ k0),
        _U(p1),
        _U(_U(p0 >> _HALF) ^ c3 ^ k1),
        _U(p0),
        _U(k0 + _W0),
        _U(k1 + _W1),
    )


@njit(**INLINE)
def philox(c0, c1, c2, c3, k0, k1):
    """Returns four random words for a counter of four words and a key of two, all uint32."""
    # A loop over the rounds would keep the compiler from working on many counters at once.
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
    return c0, c1, c2, c3


@njit(**JIT)
def draw_exponentials(out, bits, first_row, column, noise):
    """Draws four numbers for each row of a batch.

    Args:
        out: ``(4, n)``, overwritten.
        bits: uint32 ``(4, n)``, scratch.
        first_row: Position in the batch of ``out[:, 0]``.
        column: Number of the group of four among a row's numbers, from 0.
        noise: uint32 ``(4,)``: low and high half of the seed, then the counter's last two words.
    """
    k0, k1, c2, c3 = noise[0], noise[1], noise[2], noise[3]
    c1, first = _U(column), _U(first_row)
    bits0, bits1, bits2, bits3 = bits[0], bits[1], bits[2], bits[3]
    for i in range(out.shape[1]):
        bits0[i], bits1[i], bits2[i], bits3[i] = philox(_U(first + _U(i)), c1, c2, c3, k0, k1)
    kind = out.dtype.type
    one, step, half = kind(1), kind(2.0**-32), kind(2.0**-33)
    for j in range(4):
        row, words = out[j], bits[j]
        for i in range(row.size):
            # -log(w) for w = 1 - v, both made from the bits so that each is precise where it is
            # small; where w is large, one minus it is what v was rounded to.
            v = kind(words[i]) * step + half
            w = kind(~words[i]) * step + half
            row[i] = (v - (one - w)) - log(w)
