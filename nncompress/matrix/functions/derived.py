"""Arrays that are made of stored ones at their first use, and kept beside them."""

from collections.abc import Callable

import numpy as np
from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.packing import Packing
from nncompress.errors import FormatError
from nncompress.machine import free_memory

_NUMBERS_AT_ONCE = 1 << 20
_SHARE = 0.5  # of the free memory that an array may take


class DerivedArrays:
    """Arrays by name, each with what it was made of.

    They are no part of files, copies and other devices: whoever has them drops them then.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, np.ndarray]] = {}
        self._announced: set[str] = set()

    def get(self, name: str, source: object, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns an array, made now if it is not known, or was made of something else.

        Args:
            name: Its name.
            source: What it is made of: an array, which is known by its identity, or something
                that equals its like, such as bytes.
            make: Makes it.
        """
        known = self._known.get(name)
        if known is None or not _same(known[0], source):
            known = self._known[name] = source, make()
        return known[1]

    def get_large(
        self, name: str, source: object, make: Callable[[], np.ndarray], what: str
    ) -> np.ndarray:
        """Returns an array as ``get`` does; keeps it where memory allows, and says so once.

        Args:
            name: Its name.
            source: What it is made of.
            make: Makes it. It is read-only then, on a CPU.
            what: What it is, for the log.
        """
        known = self._known.get(name)
        if known is not None and _same(known[0], source):
            return known[1]
        self._known.pop(name, None)  # its memory is free for the next one
        made = make()
        if isinstance(made, np.ndarray):
            made.flags.writeable = False
        room = _room(made)
        keeps = room is None or made.nbytes <= _SHARE * (room + made.nbytes)
        if keeps:
            self._known[name] = source, made
        if name not in self._announced:
            self._announced.add(name)
            logger.info(
                "%s %s, %s bytes", what,
                "is kept" if keeps else "is made anew each time, for want of memory to keep it",
                f"{made.nbytes:,}",
            )  # fmt: skip
        return made

    def clear(self) -> None:
        """Drops all arrays."""
        self._known.clear()


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, bytes) and one == other)


def _room(array: np.ndarray) -> int | None:
    """Returns the bytes that are free where an array is; None where that is not known."""
    if isinstance(array, np.ndarray):
        return free_memory()
    return int(chainer.backends.cuda.cupy.cuda.Device().mem_info[0])


def check_numbers(
    packed: np.ndarray, packing: Packing, limit: int, derived: DerivedArrays
) -> None:
    """Refuses numbers beyond what they choose from, which kernels would read memory by.

    Args:
        packed: Packed integers, uint8 ``(n, row_bytes)``; NumPy's or CuPy's.
        packing: How they are packed.
        limit: The integers are to be below it.
        derived: Where it is kept which array has been looked at: it is done once.

    Raises:
        FormatError: There is such a number.
    """

    def checked() -> np.ndarray:
        xp = chainer.backend.get_array_module(packed)
        step = max(1, _NUMBERS_AT_ONCE // packing.count)
        for first in range(0, len(packed), step):
            largest = int(packing.unpack(packed[first : first + step], xp).max())
            if largest >= limit:
                raise FormatError(
                    f"the factors have a code of {largest}; wanted codes below {limit}: the file "
                    "that they are from is damaged"
                )
        return packed

    if 1 << packing.bits > limit:  # all that the bits can hold is below it otherwise
        derived.get("checked", packed, checked)
