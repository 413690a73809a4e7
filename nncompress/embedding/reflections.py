"""A rotation in few bits: reflections, each given by a vector of small integers.

Any rotation of D columns is a product of D-1 reflections (Householder, "Unitary triangularization
of a nonsymmetric matrix", 1958). Reflection s maps the unit vector along its integers, which lies
in columns s to D-1, to the axis of column s. The product is orthogonal whatever the integers are:
rounding them turns the axes a little and adds no error of its own.
"""

from collections.abc import Sequence

import numpy as np

from nncompress.embedding.rice import RiceRows


def axes_of(reflections: RiceRows, dim: int) -> np.ndarray:
    """Returns the product of reflections, float32 ``(D, D)``; its rows are orthonormal axes.

    Args:
        reflections: D-s integers for reflection s; fewer than D reflections.
        dim: D.

    Raises:
        FormatError: The numbers of integers do not match.
    """
    lengths = range(dim, dim - len(reflections.low_bits), -1)
    return reflected(np.eye(dim), reflections.read(lengths)).astype(np.float32)


def reflected(columns: np.ndarray, reflections: Sequence[np.ndarray]) -> np.ndarray:
    """Applies reflections to columns in place.

    Args:
        columns: float64 ``(D, n)``.
        reflections: The integers ``(D-s,)`` of reflection s.
    """
    for s, integers in enumerate(reflections):
        normal = normal_of(integers)
        if normal is not None:
            columns[s:] -= np.outer(2 * normal, normal @ columns[s:])
    return columns


def normal_of(integers: np.ndarray) -> np.ndarray | None:
    """Returns the unit normal of the reflection given by integers; None if it is the identity.

    Of the two possible signs, the one that gives the longer normal is used: integers that point
    up the first column are mapped to point down it.
    """
    length = np.sqrt(float(np.square(integers, dtype=np.float64).sum()))
    if length == 0:
        return None
    normal = integers / length
    normal[0] += 1.0 if normal[0] >= 0 else -1.0
    return normal / np.sqrt(normal @ normal)
