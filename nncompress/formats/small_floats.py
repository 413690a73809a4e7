"""Floating-point types that NumPy lacks: bfloat16 and two 8-bit types.

The 8-bit types are E4M3 (without infinities; "fn" elsewhere) and E5M2 of Micikevicius et al.,
"FP8 Formats for Deep Learning", 2022.
"""

import numpy as np


def bfloat16(bits: np.ndarray) -> np.ndarray:
    """Returns float32 numbers, given their upper halves as uint16 of the same shape."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def float8_e4m3(bits: np.ndarray) -> np.ndarray:
    """Returns numbers with 1 sign bit, 4 exponent bits and 3 mantissa bits, given as uint8.

    Returns:
        float32 of the same shape.
    """
    return _E4M3[bits]


def float8_e5m2(bits: np.ndarray) -> np.ndarray:
    """Returns numbers with 1 sign bit, 5 exponent bits and 2 mantissa bits, given as uint8.

    They are the upper halves of float16 numbers.

    Returns:
        float16 of the same shape.
    """
    return (bits.astype(np.uint16) << 8).view(np.float16)


def _values_of_e4m3() -> np.ndarray:
    bits = np.arange(128)
    exponents, mantissas = bits >> 3, bits & 7
    # Numbers with exponent 0 are subnormal; the bias is 7.
    values = np.where(
        exponents == 0,
        np.ldexp(mantissas.astype(np.float32), -9),
        np.ldexp((8 + mantissas).astype(np.float32), exponents - 10),
    ).astype(np.float32)
    values[127] = np.nan
    return np.concatenate([values, -values])


_E4M3 = _values_of_e4m3()
