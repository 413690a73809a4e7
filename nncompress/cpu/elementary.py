"""Elementary functions that compilers turn into vector code.

In float32, polynomials on the numbers' bits, accurate to a few units in the last place; in
float64, the library's functions. Sources: Cephes (Moshier), ``logf.c``, ``expf.c``, ``tanhf.c``.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from nncompress.cpu import cache
from nncompress.cpu.intrinsics import bits_to_float, float_to_bits

JIT = {
    "nogil": True,
    "cache": bool(cache.DIRECTORY),
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}
# For sums, whose order the compiler may choose (and keeps).
SUM = {**JIT, "fastmath": {"contract", "nsz", "reassoc"}}
# For the least and the largest of numbers that are none of them NaN.
EXTREMES = {**JIT, "fastmath": {"contract", "nsz", "nnan", "reassoc"}}
# For what loops call: compilers vectorize a loop only if all it calls is part of it.
INLINE = {**JIT, "cache": False, "forceinline": True}

_F = np.float32
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.12194440e-4)
_LOG2E = _F(1.44269504088896341)
_SQRT_HALF = _F(0.707106781186547524)
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


def exp(x):
    """Computes the exponential function; 0 below what float32 can hold."""
    raise NotImplementedError


def tanh(x):
    """Computes the hyperbolic tangent."""
    raise NotImplementedError


@overload(log, jit_options=INLINE)
def _log(x):
    if x != types.float32:
        return lambda x: math.log(x)

    def log32(x):
        bits = float_to_bits(x)
        exponent = np.int32((bits >> 23) - 126)
        mantissa = bits_to_float(np.int32((bits & 0x007FFFFF) | 0x3F000000))
        small = mantissa < _SQRT_HALF
        e = _F(exponent) - (_F(1) if small else _F(0))
        y = (mantissa + mantissa if small else mantissa) - _F(1)
        z = y * y
        p = _LOG[0]
        p = p * y + _LOG[1]
        p = p * y + _LOG[2]
        p = p * y + _LOG[3]
        p = p * y + _LOG[4]
        p = p * y + _LOG[5]
        p = p * y + _LOG[6]
        p = p * y + _LOG[7]
        p = p * y + _LOG[8]
        p = p * y * z + e * _LN2_LOW - _F(0.5) * z
        return y + p + e * _LN2_HIGH

    return log32


@overload(exp, jit_options=INLINE)
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def exp32(x):
        x = max(min(x, _F(88.0)), _F(-87.0))
        n = np.floor(x * _LOG2E + _F(0.5))
        r = x - n * _LN2_HIGH - n * _LN2_LOW
        p = _EXP[0]
        p = p * r + _EXP[1]
        p = p * r + _EXP[2]
        p = p * r + _EXP[3]
        p = p * r + _EXP[4]
        p = p * r + _EXP[5]
        p = p * r * r + r + _F(1)
        power = bits_to_float(np.int32((np.int32(n) + 127) << 23))
        return p * power

    return exp32


@overload(tanh, jit_options=INLINE)
def _tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)

    def tanh32(x):
        size = abs(x)
        z = x * x
        p = _TANH[0]
        p = p * z + _TANH[1]
        p = p * z + _TANH[2]
        p = p * z + _TANH[3]
        p = p * z + _TANH[4]
        near = p * z * x + x
        far = _F(1) - _F(2) / (exp(size + size) + _F(1))
        far = far if x > _F(0) else -far
        return near if size < _F(0.625) else far

    return tanh32
