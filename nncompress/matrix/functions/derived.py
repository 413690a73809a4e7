"""Arrays that are computed from stored ones at their first use, and cached."""

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
    """A cache of arrays by name, each with the source it was computed from.

    They are not saved, copied or moved to other devices: their owner drops them in these cases.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, np.ndarray]] = {}
        self._announced: set[str] = set()

    def get(self, name: str, source: object, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns an array, computing it if it is not cached or has another source.

        Args:
            name: Its name.
            source: What it is computed from: an array, which is compared by identity, or bytes,
                which are compared by value.
            make: A function that computes it.
        """
        known = self._known.get(name)
        if known is None or not _same(known[0], source):
            known = self._known[name] = source, make()
        return known[1]

    def get_large(
        self, name: str, source: object, make: Callable[[], np.ndarray], what: str
    ) -> np.ndarray:
        """Returns an array as ``get`` does, but caches it only if memory allows; logs which, once.

        Args:
            name: Its name.
            source: What it is computed from.
            make: A function that computes it. On a CPU, the array is then made read-only.
            what: What to call it in the log.
        """
        known = self._known.get(name)
        if known is not None and _same(known[0], source):
            return known[1]
        self._known.pop(name, None)  # frees its memory for the new one
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
                "is kept" if keeps else "is computed each time, for lack of memory to keep it",
                f"{made.nbytes:,}",
            )  # fmt: skip
        return made

    def clear(self) -> None:
        """Drops all arrays."""
        self._known.clear()


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, bytes) and one == other)


def _room(array: np.ndarray) -> int | None:
    """Returns the free bytes in the memory that holds an array; None if that is unknown."""
    if isinstance(array, np.ndarray):
        return free_memory()
    return int(chainer.backends.cuda.cupy.cuda.Device().mem_info[0])


def check_numbers(
    packed: np.ndarray, packing: Packing, limit: int, derived: DerivedArrays
) -> None:
    """Refuses numbers out of range, with which kernels would read outside of arrays.

    Args:
        packed: Packed integers, uint8 ``(n, row_bytes)``; NumPy or CuPy.
        packing: Their packing.
        limit: The integers have to be below this.
        derived: Remembers which array has been checked, so that each is checked once.

    Raises:
        FormatError: A number is not below the limit.
    """

    def checked() -> np.ndarray:
        xp = chainer.backend.get_array_module(packed)
        step = max(1, _NUMBERS_AT_ONCE // packing.count)
        for first in range(0, len(packed), step):
            largest = int(packing.unpack(packed[first : first + step], xp).max())
            if largest >= limit:
                raise FormatError(
                    f"the factors have a code of {largest}; wanted codes below {limit}: their "
                    "file is damaged"
                )
        return packed

    if 1 << packing.bits > limit:  # otherwise, every number that fits in the bits is below it
        derived.get("checked", packed, checked)
