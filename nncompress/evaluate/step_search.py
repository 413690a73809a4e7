"""Finding where a rising function that costs seconds a value reaches what is wanted."""

import math
from dataclasses import dataclass, field

# The most that one step goes where nothing is known on the other side, and the least.
_FARTHEST, _LEAST_MOVE = math.log(4), 0.002
# Two u's that are the same but for rounding.
_SAME = 1e-9


@dataclass
class StepSearch:
    """Looks for the largest u with y(u) at or below what is wanted, y rising with u.

    Attributes:
        wanted: The largest y.
        low: The smallest u.
        high: The largest u.
        guess: The u to begin with.
        slope: About what y rises by for each 1 of u.
        most: The most values to look at, and twice that while all are above what is wanted.
        near: A y this far below what is wanted is near enough, and so is a u this far below one
            that is too large: what is measured may waver.
        points: All (u, y) so far, in the order they were looked at.
    """

    wanted: float
    low: float
    high: float
    guess: float
    slope: float
    most: int
    near: float
    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def best(self) -> tuple[float, float] | None:
        """The largest u that is no more than is wanted, with its y; None: there is none yet."""
        return max((point for point in self.points if point[1] <= self.wanted), default=None)

    @property
    def is_over(self) -> bool:
        """Whether the best is near enough, or nothing better will be found."""
        best, above, looked_at = self.best, self._above, len(self.points)
        if best is None:
            return self.is_out_of_reach or looked_at >= 2 * self.most
        if looked_at >= self.most:
            return True
        if above is not None and above[0] - best[0] < self.near:
            return True
        return best[1] >= self.wanted - self.near or best[0] >= self.high - _SAME

    @property
    def is_out_of_reach(self) -> bool:
        """Whether even the smallest u is above what is wanted."""
        above = self._above
        return self.best is None and above is not None and above[0] <= self.low + _SAME

    def next(self) -> float:
        """Returns the u to look at next."""
        if not self.points:
            return min(max(self.guess, self.low), self.high)
        below, above = self.best, self._above
        if below is not None and above is not None:
            share = (self._aim - below[1]) / max(above[1] - below[1], 1e-12)
            return below[0] + (above[0] - below[0]) * min(max(share, 0.1), 0.9)
        near = below or above
        move = (self._aim - near[1]) / self._slope_at(near)
        if below is None:  # who missed again and again goes farther
            move = min(move, -_LEAST_MOVE * 2 ** len(self.points))
        move = min(max(move, -_FARTHEST), _FARTHEST)
        return min(max(near[0] + move, self.low), self.high)

    def note(self, u: float, y: float) -> None:
        """Takes note of a value."""
        self.points.append((u, y))

    @property
    def _aim(self) -> float:
        return self.wanted - 0.4 * self.near

    @property
    def _above(self) -> tuple[float, float] | None:
        return min((point for point in self.points if point[1] > self.wanted), default=None)

    def _slope_at(self, near: tuple[float, float]) -> float:
        """Returns the slope between the nearest two points, if there are two that rise."""
        others = [point for point in self.points if point[0] != near[0]]
        if others:
            other = min(others, key=lambda point: abs(point[1] - self.wanted))
            slope = (other[1] - near[1]) / (other[0] - near[0])
            if slope > 0.1 * self.slope:
                return slope
        return self.slope
