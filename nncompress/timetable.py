"""The timetable of a job: its phases and the time that is left.

Each phase comes with the seconds it is expected to take. The time that phases really take corrects
the expectation for those still to come, and a phase that counts its work goes by its own rate.

The share done never falls, and it reaches the end even if expectations are wrong: a phase gets a
part of what is left of the bar when it begins, and fills it as its own work is done. Where no
phases are expected, each has the whole bar.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

# The weight of a phase's own rate grows from 0 to 1 until this share of it is done.
_SURE = 0.2
# The machine counts as a usual one for this share of the whole.
_DAMPING = 0.1
# The time left is a guess until this share of the expected work has been timed.
_TIMED = 0.1
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
        is_steady: Whether it counts often. If not, it counts the rounds of a search, whose total
            is only expected, and the clock tells how much of a round is done.
    """

    total: float
    initial: float = 0
    unit: str = "row"
    n: float = field(init=False)
    note: str = ""
    is_steady: bool = True

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
        from_share: The share of all work that was done when it began.
        to_share: The share of all work that is done when it ends.
        counted_at: The time of its last count.
    """

    name: str
    expected: float
    started: float
    count: Count | None = None
    part: Count | None = None
    part_started: float = 0.0
    from_share: float = 0.0
    to_share: float = 1.0
    counted_at: float = 0.0


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
        self._stopped_at: float | None = None
        self._lost = 0.0  # seconds for which the clock was stopped
        self.phase: Phase | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the clock is stopped."""
        return self._stopped_at is not None

    def stop(self) -> None:
        """Stops the clock for work that says nothing about the rest, such as compilation."""
        self._stopped_at = self._clock()

    def go_on(self) -> None:
        """Lets the clock go on."""
        if self._stopped_at is not None:
            self._lost += self._clock() - self._stopped_at
            self._stopped_at = None

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
        whole = expected + sum(each.seconds for each in self._coming)
        if not whole and not self._expected:  # nothing is known of the whole
            self._share = 0.0
        now, here = self._now(), self._share
        there = here + (1 - here) * (expected / whole if whole else 1.0)
        self.phase = Phase(
            name, expected, now, count, from_share=here, to_share=there, counted_at=now
        )
        return self.phase

    def end(self) -> tuple[Phase, float]:
        """Ends the current phase, and returns it with the seconds it took."""
        phase = self.phase
        assert phase is not None
        seconds = self._now() - phase.started
        if phase.expected:
            self._done += seconds
            self._expected += phase.expected
        self._share = max(self._share, min(_ALMOST, phase.to_share))
        self.phase = None
        return phase, seconds

    def begin_part(self, count: Count) -> None:
        """Begins a count within the current phase."""
        if self.phase is not None:
            self.phase.part, self.phase.part_started = count, self._now()

    def note_count(self) -> None:
        """Notes that the current phase has just counted."""
        if self.phase is not None:
            self.phase.counted_at = self._now()

    def seconds_of_phase(self) -> float:
        """Returns the seconds for which the current phase has been under way."""
        return 0.0 if self.phase is None else self._now() - self.phase.started

    def seconds_left(self) -> float | None:
        """Returns the estimated seconds left; None if unknown."""
        pace, phase = self._pace(), self.phase
        coming = pace * sum(each.seconds for each in self._coming)
        if phase is None:
            return coming if self._coming else None
        left = self._left_of_phase(phase, pace)
        if left is None:  # a phase that nobody expected
            return coming if self._coming else None
        return left + coming

    @property
    def is_guess(self) -> bool:
        """Whether the seconds left are hardly more than what was expected from the beginning."""
        timed = whole = self._expected
        phase = self.phase
        if phase is not None:
            whole += phase.expected
            if phase.count is not None:
                timed += phase.expected * phase.count.share
        whole += sum(each.seconds for each in self._coming)
        return timed < _TIMED * whole

    def share(self) -> float:
        """Returns the share of all expected work that is done; it never falls."""
        phase = self.phase
        if phase is not None:
            here = phase.from_share
            share = here + (phase.to_share - here) * self._share_of_phase(phase)
            self._share = max(self._share, min(_ALMOST, share))
        return self._share

    def _now(self) -> float:
        """Returns the time on a clock that can be stopped."""
        stopped = self._stopped_at  # another thread may let the clock go on
        return (self._clock() if stopped is None else stopped) - self._lost

    def _pace(self) -> float:
        """Returns the ratio of actual to expected time so far."""
        done, expected, phase = self._done, self._expected, self.phase
        if phase is not None and phase.expected and phase.count and phase.count.share > _SURE:
            done += self._now() - phase.started
            expected += phase.expected * phase.count.share
        coming = sum(each.seconds for each in self._coming)
        damping = _DAMPING * (expected + coming) + 1e-9
        return (done + damping) / (expected + damping)

    def _share_of_phase(self, phase: Phase) -> float:
        if phase.count is not None and phase.count.is_steady:
            return phase.count.share if phase.count.total > phase.count.initial else 0.0
        elapsed = self._now() - phase.started
        left = self._left_of_phase(phase, self._pace())
        return 0.0 if left is None else elapsed / max(elapsed + left, 1e-9)

    def _left_of_phase(self, phase: Phase, pace: float) -> float | None:
        now = self._now()
        elapsed = now - phase.started
        expected = pace * phase.expected
        count = phase.count
        if count is not None and count.share > 0:
            if not count.is_steady:
                in_round = now - phase.counted_at
                seconds = (elapsed - in_round) / (count.n - count.initial)
                return max(seconds * (count.total - count.n) - in_round, 0.1 * in_round)
            by_rate = elapsed / count.share
            sure = min(1.0, count.share / _SURE) if expected else 1.0
            return max(0.0, sure * by_rate + (1 - sure) * expected - elapsed)
        left = None if not expected else max(expected - elapsed, 0.1 * elapsed)
        if phase.part is not None and (share := phase.part.share) > 0:
            of_part = (now - phase.part_started) * (1 - share) / share
            sure = min(1.0, share / _SURE)
            left = of_part if left is None else max(left, sure * of_part + (1 - sure) * left)
        return left
