"""Launches of kernels that are made ready once and repeated."""

from collections.abc import Sequence
from typing import NamedTuple


class Launch(NamedTuple):
    """A launch: what ``Kernels.launch`` takes."""

    name: str
    blocks: int
    threads: int
    arguments: Sequence[object]
    shared: int = 0


def address(array: object) -> int:
    """Returns where an array of NumPy's or CuPy's begins; 0 for None."""
    if array is None:
        return 0
    interface = getattr(array, "__cuda_array_interface__", None)
    return (interface or array.__array_interface__)["data"][0]
