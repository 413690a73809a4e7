"""Elementary functions that compilers turn into vector code.

In float32 they are polynomials and operations on the numbers' bits, accurate to a few units in the
last place; in float64, the library's functions. Sources: Cephes (Moshier), ``logf.c``, ``expf.c``,
``tanhf.c``, with the polynomials in Estrin's order, which shortens the chain of operations that
wait for each other.
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from nncompress.cpu import cache
from nncompress.cpu.intrinsics import bits_to_float, float_to_bits, larger, smaller

JIT = {
    "nogil": True,
    "cache": bool(cache.DIRECTORY),
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}
# For sums, in an order that the compiler chooses once and keeps.
SUM = {**JIT, "fastmath": {"contract", "nsz", "reassoc"}}
# For the smallest and the largest of numbers without NaN.
EXTREMES = {**JIT, "fastmath": {"contract", "nsz", "nnan", "reassoc"}}
# For functions called in loops: compilers only vectorize a loop if all calls in it are inlined.
INLINE = {**JIT, "cache": False, "forceinline": True}
# For parts of one kernel: they are inlined before anything is compiled, which takes a third of the
# time.
PART = {**JIT, "cache": False, "inline": "always"}

_F = np.float32
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.12194440e-4)
_LOG2E = _F(1.44269504088896341)
_SQRT_HALF_BITS, _ROOT_OF_2 = 0x3F3504F3, _F(1.41421356)
_INTEGERS = _F(1.5 * 2**23)
_INVERSE_BITS, _LARGEST_INVERTED = 0x7EF311C7, _F(2.0**125)
_LOG = tuple(
    _F(c)
    for c in (
        *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
        *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
    )
)
_EXP = tuple(
    _F(c)
    for c in (
        *(1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1),
        5.0000001201e-1,
    )
)
_TANH = tuple(
    _F(c)
    for c in (
        *(-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1),
        -3.33332819422e-1,
    )
)


def log(x):
    """Computes the natural logarithm of a positive, normal number."""
    raise NotImplementedError


def log_of_one_and(x):
    """Computes the natural logarithm of 1 + x for x in 0 ... 1."""
    raise NotImplementedError


def exp(x):
    """Computes the exponential function; 0 if the result is too small for float32."""
    raise NotImplementedError


def inverse(x):
    """Computes 1 / x for a positive, normal number; numbers above 2^125 count as 2^125."""
    raise NotImplementedError


def tanh(x):
    """Computes the hyperbolic tangent."""
    raise NotImplementedError


@njit(**INLINE)
def _log_near_one(y, e):
    """Returns ``log(1 + y) + e * log(2)`` for 1 + y between the roots of 1/2 and 2."""
    y2 = y * y
    y4 = y2 * y2
    p = (_LOG[7] * y + _LOG[8]) + (_LOG[5] * y + _LOG[6]) * y2
    p += ((_LOG[3] * y + _LOG[4]) + (_LOG[1] * y + _LOG[2]) * y2) * y4
    p += _LOG[0] * (y4 * y4)
    p = p * y * y2 + e * _LN2_LOW - _F(0.5) * y2
    return y + p + e * _LN2_HIGH


@overload(log, jit_options=INLINE)
def _log(x):
    if x != types.float32:
        return lambda x: math.log(x)

    def log32(x):
        bits = float_to_bits(x)
        exponent = np.int32(np.int32(bits - _SQRT_HALF_BITS) >> 23)
        y = bits_to_float(np.int32(bits - np.int32(exponent << 23))) - _F(1)
        e = _F(exponent)
        return _log_near_one(y, e)

    return log32


@overload(log_of_one_and, jit_options=INLINE)
def _log_of_one_and(x):
    if x != types.float32:
        return lambda x: math.log1p(x)

    def log_of_one_and32(x):
        large = x > _ROOT_OF_2 - _F(1)
        return _log_near_one(_F(0.5) * x - _F(0.5) if large else x, _F(1) if large else _F(0))

    return log_of_one_and32


@overload(exp, jit_options=INLINE)
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def exp32(x):
        given = x
        x = larger(smaller(x, _F(88.0)), _F(-87.0))
        # Numbers of this size have no fractional bits, and their last bits are the integer.
        shifted = x * _LOG2E + _INTEGERS
        n = shifted - _INTEGERS
        r = x - n * _LN2_HIGH - n * _LN2_LOW
        r2 = r * r
        p = (_EXP[4] * r + _EXP[5]) + (_EXP[2] * r + _EXP[3]) * r2
        p += (_EXP[0] * r + _EXP[1]) * (r2 * r2)
        p = p * r2 + r + _F(1)
        power = bits_to_float(np.int32(np.int32(float_to_bits(shifted) << 23) + (127 << 23)))
        return p * power if given == given else given  # NaN

    return exp32


@overload(tanh, jit_options=INLINE)
def _tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)

    def tanh32(x):
        size = abs(x)
        z = x * x
        p = (_TANH[3] * z + _TANH[4]) + (_TANH[1] * z + _TANH[2]) * (z * z)
        p += _TANH[0] * (z * z) * (z * z)
        near = p * z * x + x
        far = _F(1) - _F(2) / (exp(size + size) + _F(1))
        far = far if x > _F(0) else -far
        return near if size < _F(0.625) else far

    return tanh32


@overload(inverse, jit_options=INLINE)
def _inverse(x):
    if x != types.float32:
        return lambda x: 1.0 / x

    def inverse32(x):
        # Newton's method, starting from the bits, which give the result to an eighth. A division
        # would wait for the only divider, which a nearby square root needs too.
        x = smaller(x, _LARGEST_INVERTED)
        y = bits_to_float(np.int32(_INVERSE_BITS - float_to_bits(x)))
        y += y * (_F(1) - x * y)
        y += y * (_F(1) - x * y)
        y += y * (_F(1) - x * y)
        return y

    return inverse32
