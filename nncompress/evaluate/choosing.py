"""Choosing the step of a residual stage for a target, and making the stage.

A handful of steps are tried on a sample. Then all rows are coded, repeatedly with slightly
different steps, until the whole table meets the target.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.residual import Residual
from nncompress.errors import InputError, OutOfReach
from nncompress.evaluate.curve import HEADING, CurvePoint, badness, reached
from nncompress.evaluate.neighbours import FEWEST_ROWS
from nncompress.evaluate.sample import Rows, SampleSize, block_rows
from nncompress.evaluate.step_search import StepSearch
from nncompress.evaluate.target import FEW_ROWS, Target
from nncompress.machine import Machine
from nncompress.progress import Counter
from nncompress.trellis.quantizer import Settings
from nncompress.trellis.stage import Remainder, code_rows, fit_quantizer

# The relative tolerance for the step on the sample; the most times that all rows are coded, and
# the tolerance for these.
_NEAR, _CODINGS = 0.05, (5, 0.01)
# The relative uncertainty of 1 minus a measured recall.
_UNSURE = 0.03
# The largest root mean square of an axis, in units of the finest and of the coarsest step.
_FINEST, _COARSEST = 600.0, 0.125
# The largest ratio of an axis to the root mean square of a typical row's numbers in usual tables.
_LARGER_AXES = 8.0
# The longest row considered, in steps: about what levels can represent.
_MOST_STEPS = 55_000.0
# A warning is given if less than this share of a size is used, because there are no finer steps,
# and the cosine is below the second number.
_UNUSED, _GOOD = 0.9, 0.99
# The mean squared error in squared steps, and the smallest slope of badness over a log step.
_SQUARED_ERROR, _LEAST_SLOPE = 0.27, 0.05
# 1 minus the recall is about this many times the relative error.
_LOST_NEIGHBOURS = 1.5


@dataclass(frozen=True)
class Choice:
    """The outcome of choosing a step.

    Attributes:
        point: The chosen step, and its estimated size and quality.
        points: All points measured on the sample, by size.
    """

    point: CurvePoint
    points: list[CurvePoint]

    @property
    def settings(self) -> Settings:
        """The settings of the stage."""
        return Settings(self.point.step, block_rows=block_rows(self.point.residual_bits))


class Chooser:
    """Chooses the settings of a table's residual stage, and makes the stage.

    Args:
        remainder: The rows to code.
        target: The target; None for the default.
        machine: The machine to compute on.
        weights: The weights by which rows get bits, float64 ``(N,)``; None for equal weights.
        beside: The bytes stored besides the residual stage: those of additive codes.
        size: The numbers of rows in the sample.

    Raises:
        InputError: The target is a recall, but the table has too few rows.
    """

    def __init__(
        self,
        remainder: Remainder,
        target: Target | None,
        machine: Machine,
        weights: np.ndarray | None = None,
        beside: int = 0,
        size: SampleSize = SampleSize(),
    ) -> None:
        num_rows, self._dim = self._num_rows, _ = remainder.shape
        self._is_usual = target is None
        self.target = target = Target.usual(num_rows) if target is None else target
        if target.recall is not None and num_rows < FEWEST_ROWS:
            raise InputError(
                f"the target is {target}, but the table has {num_rows} rows; wanted at least "
                f"{FEWEST_ROWS}, or a cosine or a distance"
            )
        self._machine, self._trials = machine, size.trials
        self._rows = Rows(remainder, machine, weights, beside, size)
        # The search goes upwards: to finer steps for a size, and to coarser ones for a quality.
        self._sign = -1.0 if target.is_size else 1.0
        self._wanted = badness(target, target.value)
        largest = math.sqrt(self._rows.squares[0]) or 1.0
        # A row much larger than the others creates its own axis, and the others need finer steps.
        finest = min(largest, _LARGER_AXES * (self._rows.typical or largest)) / _FINEST
        middle = (self._rows.typical or largest) / 2
        finest = max(finest, self._rows.most_steps(middle) * middle / _MOST_STEPS)
        ends = (self._sign * math.log(step) for step in (finest, largest / _COARSEST))
        self._low, self._high = sorted(ends)

    def choose(
        self, report: Callable[[str], None] | None = None, counter: Counter | None = None
    ) -> Choice:
        """Tries steps on a sample.

        Args:
            report: A function that is called with a line for each; None for silence.
            counter: Counts the trials; None: nothing does.

        Raises:
            OutOfReach: No step is small enough or good enough.
        """
        if report is not None:
            if self._is_usual and self.target.recall is None:
                few = f"Fewer than {FEW_ROWS:,} rows"
                report(f"{few}: keeping {self.target}, as neighbours mean little")
            report(f"Choosing the step for {self.target}\n{HEADING}")
        points = {}
        search = self._search(self._guess(), (self._trials, _NEAR))
        while not search.is_over:
            u = search.next()
            points[u] = self._rows.of_sample(math.exp(self._sign * u))
            search.note(u, self._badness(points[u]))
            if counter is not None:
                counter.update()
            if report is not None:
                report(str(points[u]))
        by_size = sorted(points.values(), key=lambda point: point.bytes_per_row)
        chosen = points[min(points) if search.best is None else search.best[0]]
        if search.is_out_of_reach:
            self._tell(chosen)
        return Choice(chosen, by_size)

    def make(self, choice: Choice, counter: Counter | None = None) -> tuple[Residual, CurvePoint]:
        """Codes all rows with a step near the chosen one, so that they meet the target.

        Args:
            choice: The outcome of choosing it.
            counter: Counts how often they are coded; None: nothing does.

        Returns:
            The stage, and its point of the curve, measured on all rows.

        Raises:
            OutOfReach: The target turns out not to be reachable.
        """
        made: dict[float, tuple[Residual, CurvePoint]] = {}
        remainder, weights, basis = self._rows.remainder, self._rows.weights, None
        search = self._search(self._sign * math.log(choice.point.step), _CODINGS)
        while not search.is_over:
            u = search.next()
            settings = replace(choice.settings, step=math.exp(self._sign * u))
            quantizer, _ = fit_quantizer(remainder, settings, self._machine, weights, basis=basis)
            basis = quantizer.basis
            residual = code_rows(remainder, quantizer, self._machine, weights)
            made[u] = residual, self._rows.of_all(settings.step, residual)
            search.note(u, self._badness(made[u][1]))
            best = min(made) if search.best is None else search.best[0]
            made = {best: made[best]}
            if counter is not None:
                counter.update()
        (made_best,) = made.values()
        point = made_best[1]
        if search.best is None and not self._is_usual:
            self._tell(point)
        used = reached(self.target, point, self._dim) / self.target.value
        if self.target.is_size and used < _UNUSED and point.cosine < _GOOD:
            warnings.warn(
                f"{self.target} cannot be used up: because some rows are much larger than the "
                f"others, the finest possible step has a mean cosine of {point.cosine:.3f}; "
                "measure rows relative to their length (--adaptive), or leave the largest out",
                stacklevel=4,
            )
        return made_best

    def _search(self, guess: float, limits: tuple[int, float]) -> StepSearch:
        slope = (self._model(guess + 0.1) - self._model(guess - 0.1)) / 0.2
        most, near = limits
        if self.target.recall is not None:
            near = max(near, _UNSURE)
        return StepSearch(
            self._wanted, self._low, self._high, guess, max(slope, _LEAST_SLOPE), most, near
        )

    def _badness(self, point: CurvePoint) -> float:
        return badness(self.target, reached(self.target, point, self._dim))

    def _guess(self) -> float:
        """Returns the point at which the model reaches the target."""
        low, high = self._low, self._high
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self._model(middle) <= self._wanted else (low, middle)
        return low

    def _model(self, u: float) -> float:
        """Estimates the badness of a step as if rows were Gaussian.

        It uses reverse water-filling over the axes; see Cover and Thomas, "Elements of Information
        Theory", 10.3.3.
        """
        level = _SQUARED_ERROR * math.exp(2 * self._sign * u)
        squares = self._rows.squares
        lost = float(np.minimum(squares, level).sum())
        bits = float(0.5 * np.log2(np.maximum(squares / level, 1)).sum())
        lost_share = lost / max(self._rows.mean_square, 1e-300)
        size = bits / 8 + self._rows.shared_bytes_for(int((squares > level / 4).sum()))
        values = {
            "residual_bits": bits,
            "bits_per_dim": 8 * size / self._dim,
            "bytes_per_row": size,
            "distance": math.sqrt(lost),
            "cosine": 1 - lost_share / 2,
            "recall": 1 - _LOST_NEIGHBOURS * math.sqrt(lost_share),
        }
        return badness(self.target, values[self.target.name])

    def _tell(self, closest: CurvePoint) -> None:
        """Raises an error for a target that is out of reach, or warns if it is the default."""
        if self.target.is_size:
            raise OutOfReach(
                f"the target is {self.target}; the smallest possible is about "
                f"{reached(self.target, closest, self._dim):.4g} for {self._num_rows} rows of "
                f"{self._dim} columns"
            )
        seen = (
            f"the finest step has a distance of {closest.distance:.5g} and a cosine of "
            f"{closest.cosine:.5f}"
        )
        if closest.recall is not None:
            seen += f", and keeps {closest.recall:.4f} of the neighbours"
        seen += f", at {closest.bytes_per_row:.4g} bytes a row"
        if not self._is_usual:
            raise OutOfReach(f"no step reaches {self.target}: {seen}")
        warnings.warn(
            f"{self.target} cannot be kept, because many rows are nearly the same: {seen}; choose "
            "another target (--target-cosine, --target-bytes-per-row)",
            stacklevel=4,
        )
