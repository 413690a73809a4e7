"""How often a run saves what it can be continued from: ``30s``, ``5m``, ``2000``."""

import re
from dataclasses import dataclass

from nncompress.errors import InputError

_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class SnapshotPeriod:
    """A period of time, or of iterations.

    Attributes:
        text: As the user writes it.
        seconds: The time; None where iterations count.
        iterations: The number of iterations; None where time counts.
    """

    text: str
    seconds: int | None = None
    iterations: int | None = None

    @classmethod
    def of(cls, text: object) -> "SnapshotPeriod":
        """Reads a period.

        Args:
            text: A whole number, and after it ``s``, ``m`` or ``h``; without, iterations.

        Raises:
            InputError: It is something else, or nought.
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
