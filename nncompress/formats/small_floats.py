"""Floating-point types of tables that NumPy lacks: bfloat16, and the two of 8 bits.

Those of 8 bits are E4M3 (without infinities; "fn" elsewhere) and E5M2 of Micikevicius et al.,
"FP8 Formats for Deep Learning", 2022.
"""

import numpy as np


def bfloat16(bits: np.ndarray) -> np.ndarray:
    """Returns the float32 numbers whose upper halves are given as uint16, of the same shape."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def float8_e4m3(bits: np.ndarray) -> np.ndarray:
    """Returns numbers of 1 bit of sign, 4 of exponent and 3 of mantissa, given as uint8.

    Returns:
        float32 of the same shape.
    """
    return _E4M3[bits]


def float8_e5m2(bits: np.ndarray) -> np.ndarray:
    """Returns numbers of 1 bit of sign, 5 of exponent and 2 of mantissa, given as uint8.

    They are the upper halves of float16 numbers.

    Returns:
        float16 of the same shape.
    """
    return (bits.astype(np.uint16) << 8).view(np.float16)


def _values_of_e4m3() -> np.ndarray:
    bits = np.arange(128)
    exponents, mantissas = bits >> 3, bits & 7
    # Those of exponent 0 are subnormal; 7 is the bias.
    values = np.where(
        exponents == 0,
        np.ldexp(mantissas.astype(np.float32), -9),
        np.ldexp((8 + mantissas).astype(np.float32), exponents - 10),
    ).astype(np.float32)
    values[127] = np.nan
    return np.concatenate([values, -values])


_E4M3 = _values_of_e4m3()
