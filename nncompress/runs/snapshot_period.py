"""The time between two of a run's trainer snapshots: ``30s``, ``5m``, ``2000``."""

import re
from dataclasses import dataclass

from nncompress.errors import InputError

_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class SnapshotPeriod:
    """A period in time or iterations.

    Attributes:
        text: The text given by the user.
        seconds: The time; None if the period is in iterations.
        iterations: The number of iterations; None if the period is in time.
    """

    text: str
    seconds: int | None = None
    iterations: int | None = None

    @classmethod
    def of(cls, text: object) -> "SnapshotPeriod":
        """Reads a period.

        Args:
            text: A whole number followed by ``s``, ``m`` or ``h``, or a number of iterations.

        Raises:
            InputError: It is something else, or zero.
        """
        found = (
            re.fullmatch(r"0*([1-9][0-9]{0,8})([smh]?)", text) if isinstance(text, str) else None
        )
        if found is None:
            raise InputError(
                f"the time between trainer snapshots is {text!r}; wanted seconds (30s), minutes "
                "(5m), hours (1h), or a number of iterations (2000)"
            )
        number, unit = int(found[1]), found[2]
        if unit:
            return cls(text, seconds=number * _SECONDS[unit])
        return cls(text, iterations=number)


DEFAULT_PERIOD = SnapshotPeriod.of("30s")
