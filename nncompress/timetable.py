"""The timetable of a job: its phases and the time that is left.

Each phase comes with the seconds it is expected to take. The time that phases really take corrects
the expectation for those still to come, and a phase that counts its work goes by its own rate.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

# The weight of a phase's own rate grows from 0 to 1 until this share of it is done.
_SURE = 0.2
# The machine counts as a usual one for this share of the whole.
_DAMPING = 0.05
_ALMOST = 0.99


@dataclass(frozen=True)
class Expected:
    """A phase to come.

    Attributes:
        name: Its name, as the phase will give it.
        seconds: The expected time.
    """

    name: str
    seconds: float


@dataclass
class Count:
    """A count of work.

    Attributes:
        total: The final count.
        initial: The initial count.
        n: The current count.
        unit: The name of the things counted.
        note: Text to show beside it, such as a loss.
    """

    total: float
    initial: float = 0
    unit: str = "row"
    n: float = field(init=False)
    note: str = ""

    def __post_init__(self) -> None:
        self.n = self.initial

    @property
    def share(self) -> float:
        """The share of the work since the initial count that is done."""
        here = self.total - self.initial
        return min(1.0, (self.n - self.initial) / here) if here > 0 else 1.0


@dataclass
class Phase:
    """The current phase.

    Attributes:
        name: Its name.
        expected: The expected seconds; 0 if unknown.
        started: The time at which it began.
        count: The count of its work; None if it has none.
        part: The latest count within it; None if there was none.
        part_started: The time at which that count began.
    """

    name: str
    expected: float
    started: float
    count: Count | None = None
    part: Count | None = None
    part_started: float = 0.0


class Timetable:
    """The phases of a job: those completed, the current one, and those to come.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._coming: list[Expected] = []
        self._done = 0.0  # seconds that completed phases took
        self._expected = 0.0  # and those that were expected of them
        self._share = 0.0
        self.phase: Phase | None = None

    def expect(self, phases: Sequence[Expected]) -> None:
        """Replaces the phases to come."""
        self._coming = list(phases)

    def begin(self, name: str, count: Count | None = None) -> Phase:
        """Begins a phase; expected phases before it are dropped as unneeded."""
        names = [each.name for each in self._coming]
        expected = 0.0
        if name in names:
            place = names.index(name)
            expected = self._coming[place].seconds
            del self._coming[: place + 1]
        self.phase = Phase(name, expected, self._clock(), count)
        return self.phase

    def end(self) -> tuple[Phase, float]:
        """Ends the current phase, and returns it with the seconds it took."""
        phase = self.phase
        assert phase is not None
        seconds = self._clock() - phase.started
        if phase.expected:
            self._done += seconds
            self._expected += phase.expected
        self.phase = None
        return phase, seconds

    def begin_part(self, count: Count) -> None:
        """Begins a count within the current phase."""
        if self.phase is not None:
            self.phase.part, self.phase.part_started = count, self._clock()

    def seconds_left(self) -> float | None:
        """Returns the estimated seconds left; None if unknown."""
        pace, phase = self._pace(), self.phase
        coming = pace * sum(each.seconds for each in self._coming)
        if phase is None:
            return coming if self._coming else None
        left = self._left_of_phase(phase, pace)
        return None if left is None else left + coming

    def share(self) -> float:
        """Returns the share of all expected work that is done; it never falls."""
        phase = self.phase
        whole = self._expected + sum(each.seconds for each in self._coming)
        done, share_of_phase = self._expected, 0.0
        if phase is not None:
            elapsed = self._clock() - phase.started
            left = self._left_of_phase(phase, self._pace())
            share_of_phase = 0.0 if left is None else elapsed / max(elapsed + left, 1e-9)
            whole += phase.expected
            done += phase.expected * share_of_phase
        share = done / whole if whole else share_of_phase
        self._share = max(self._share, min(_ALMOST, share))
        return self._share

    def _pace(self) -> float:
        """Returns the ratio of actual to expected time so far."""
        done, expected, phase = self._done, self._expected, self.phase
        if phase is not None and phase.expected and phase.count and phase.count.share > _SURE:
            done += self._clock() - phase.started
            expected += phase.expected * phase.count.share
        coming = sum(each.seconds for each in self._coming)
        damping = _DAMPING * (expected + coming) + 1e-9
        return (done + damping) / (expected + damping)

    def _left_of_phase(self, phase: Phase, pace: float) -> float | None:
        now = self._clock()
        elapsed = now - phase.started
        expected = pace * phase.expected
        if phase.count is not None and phase.count.share > 0:
            by_rate = elapsed / phase.count.share
            sure = min(1.0, phase.count.share / _SURE) if expected else 1.0
            return max(0.0, sure * by_rate + (1 - sure) * expected - elapsed)
        left = None if not expected else max(expected - elapsed, 0.1 * elapsed)
        if phase.part is not None and (share := phase.part.share) > 0:
            of_part = (now - phase.part_started) * (1 - share) / share
            left = of_part if left is None else max(left, of_part)
        return left
