"""Finding where an increasing function that is slow to evaluate reaches a wanted value."""

import math
from dataclasses import dataclass, field

# The longest and the shortest move while nothing is known on the other side.
_FARTHEST, _LEAST_MOVE = math.log(4), 0.002
# Two u's this close differ only by rounding.
_SAME = 1e-9


@dataclass
class StepSearch:
    """A search for the largest u with y(u) at or below a wanted value, where y increases with u.

    Attributes:
        wanted: The largest allowed y.
        low: The smallest u.
        high: The largest u.
        guess: The first u to try.
        slope: The approximate slope of y.
        most: The most values to evaluate, or twice that while all are above the wanted value.
        near: The tolerance: the search ends at a y this close below the wanted value, or at a u
            this close below one that is too large, since measurements may fluctuate.
        points: All (u, y) so far, in the order in which they were evaluated.
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
        """The largest u whose y is at most the wanted value, with its y; None if there is none."""
        return max((point for point in self.points if point[1] <= self.wanted), default=None)

    @property
    def is_over(self) -> bool:
        """Whether the best is close enough, or nothing better will be found."""
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
        """Whether even the smallest u gives a y above the wanted value."""
        above = self._above
        return self.best is None and above is not None and above[0] <= self.low + _SAME

    def next(self) -> float:
        """Returns the u to evaluate next."""
        if not self.points:
            return min(max(self.guess, self.low), self.high)
        below, above = self.best, self._above
        if below is not None and above is not None:
            share = (self._aim - below[1]) / max(above[1] - below[1], 1e-12)
            return below[0] + (above[0] - below[0]) * min(max(share, 0.1), 0.9)
        near = below or above
        move = (self._aim - near[1]) / self._slope_at(near)
        if below is None:  # after repeated misses, go farther
            move = min(move, -_LEAST_MOVE * 2 ** len(self.points))
        move = min(max(move, -_FARTHEST), _FARTHEST)
        return min(max(near[0] + move, self.low), self.high)

    def note(self, u: float, y: float) -> None:
        """Records a value."""
        self.points.append((u, y))

    @property
    def _aim(self) -> float:
        return self.wanted - 0.4 * self.near

    @property
    def _above(self) -> tuple[float, float] | None:
        return min((point for point in self.points if point[1] > self.wanted), default=None)

    def _slope_at(self, near: tuple[float, float]) -> float:
        """Returns the slope between the nearest two points if it is positive, or the default."""
        others = [point for point in self.points if point[0] != near[0]]
        if others:
            other = min(others, key=lambda point: abs(point[1] - self.wanted))
            slope = (other[1] - near[1]) / (other[0] - near[0])
            if slope > 0.1 * self.slope:
                return slope
        return self.slope
