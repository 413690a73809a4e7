"""What a user requires of a compressed table or model, in numbers."""

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nncompress.errors import InputError
from nncompress.evaluate.report import Report

# Losses this small are as good as none: of figures, of points, and of perplexity's ratio.
_NOTHING, _NO_POINTS, _NO_RATIO = 1e-30, 0.1, 1e-3
_ALL = 1e30


@dataclass(frozen=True)
class _Kind:
    """What can be required.

    Attributes:
        range: The least and the largest number that can be.
        wanted: How messages ask for a number.
        limit: How messages tell the number, with ``{}`` in its place.
        needs: The flag that names the data of a task; empty for figures of rows.
        is_least: Whether the number is the least that will do, or the most.
    """

    range: tuple[float, float]
    wanted: str
    limit: str
    needs: str = ""
    is_least: bool = False


_POINTS = "a difference to the original of 0 or less in points of 100, such as -0.5"
KINDS = {
    "error": _Kind((0, math.inf), "a share of the variance, such as 0.1", "at most {}"),
    "cosine": _Kind((-1, 1), "a cosine, such as 0.98", "at least {}", is_least=True),
    "cosine_worst": _Kind((-1, 1), "a cosine, such as 0.9", "at least {}", is_least=True),
    "recall": _Kind((0, 1), "a share from 0 to 1, such as 0.9", "at least {}", is_least=True),
    "pairs": _Kind((-200, 0), _POINTS, "a change of at least {} points", "--pairs", is_least=True),
    "sts": _Kind((-200, 0), _POINTS, "a change of at least {} points", "--sts", is_least=True),
    "perplexity": _Kind(
        (1, math.inf), "a multiple of the original's of 1 or more, such as 1.02",
        "at most {} times the original's", "--text",
    ),
    "kl": _Kind((0, math.inf), "nats a token, such as 0.01", "at most {} nats a token", "--text"),
}  # fmt: skip


@dataclass(frozen=True)
class Requirement:
    """One number that a result must reach.

    Attributes:
        name: What is required, one of ``KINDS``:
            - ``error``: the largest mean squared distance over the table's variance;
            - ``cosine``, ``cosine_worst``: the smallest mean cosine, and that of the worst
              hundredth of the rows;
            - ``recall``: the smallest share of the 10 nearest neighbours kept;
            - ``pairs``, ``sts``: the lowest that the score on word or sentence similarity may
              fall, in points of 100, 0 or less: -0.5 is half a point below the original;
            - ``perplexity``: the most times that the perplexity may be the original's, at least 1;
            - ``kl``: the largest mean Kullback-Leibler divergence, in nats a token.
        limit: The number. What was measured is compared with it, and not the ends of its interval.

    Raises:
        InputError: There is no such name, or the number is out of its range.
    """

    name: str
    limit: float

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise InputError(f"nothing is called {self.name!r:.40} among {', '.join(KINDS)}")
        kind = KINDS[self.name]
        if isinstance(self.limit, bool) or not isinstance(self.limit, numbers.Real):
            raise InputError(f"{self.name} is required to be {self.limit!r:.40}; wanted "
                             f"{kind.wanted}")  # fmt: skip
        low, high = kind.range
        if not (low <= self.limit <= high and math.isfinite(self.limit)):
            raise InputError(f"{self.name} is required to be {self.limit:g}; wanted {kind.wanted}")

    def seen(self, report: Report) -> float:
        """Returns what was measured of that; of several tasks of a kind the worst.

        Raises:
            InputError: It was not measured.
        """
        if self.name in report.figures:
            return report.figures[self.name].value
        seen = [score.change.value for score in report.scores if score.task == self.name]
        if not seen:
            needs = KINDS[self.name].needs
            how = f"name its data ({needs} FILE)" if needs else "the table has too few rows"
            raise InputError(f"{self.name} is required, and is not measured: {how}")
        return min(seen) if KINDS[self.name].is_least else max(seen)

    def shortfall(self, report: Report) -> float:
        """Returns how much is missing: above 0 where the requirement is not met.

        It is the logarithm of what is lost over what may be lost, which falls about evenly with
        the logarithm of the bits.
        """
        return self._shortfall_of(self.seen(report))

    def _shortfall_of(self, seen: float) -> float:
        lost, allowed = self._lost(seen), self._lost(self.limit)
        if not lost < _ALL:  # what is no number reaches nothing
            lost = _ALL
        return math.log(max(lost, _NOTHING) / max(allowed, _NOTHING))

    def _lost(self, value: float) -> float:
        """Returns what is lost where something is measured, or where it is allowed."""
        if self.name in ("pairs", "sts"):
            return max(-value, 0.0) + _NO_POINTS
        if self.name == "perplexity":
            return max(value - 1, 0.0) + _NO_RATIO
        return 1 - value if KINDS[self.name].is_least else value

    def tell(self, report: Report) -> str:
        """Returns what was seen and what is wanted, in words."""
        wanted = KINDS[self.name].limit.format(f"{self.limit:g}")
        seen = self.seen(report)
        shown = f"{seen:.5g}"
        if self._shortfall_of(seen) > 0 >= self._shortfall_of(float(shown)):  # by rounding alone
            shown = str(seen)
        return f"{self.name} {shown} (wanted {wanted})"

    def __str__(self) -> str:
        return f"{self.name}={self.limit:g}"


class Requirements:
    """All that a result must reach.

    Args:
        wanted: The numbers, by name.

    Raises:
        InputError: There is no such name, or a number is out of its range.
    """

    def __init__(self, wanted: Mapping[str, float] | None = None) -> None:
        if wanted is not None and not isinstance(wanted, Mapping):
            raise InputError(f"{wanted!r:.99} is required; wanted numbers by name, such as "
                             "{'cosine': 0.98}")  # fmt: skip
        self.all = tuple(Requirement(*each) for each in (wanted or {}).items())

    @classmethod
    def parse(cls, text: str | None) -> "Requirements":
        """Reads ``name=number``, several with commas between them; None is no requirement.

        Raises:
            InputError: It is something else.
        """
        wanted: dict[str, float] = {}
        for part in [] if text is None else text.split(","):
            name, equals, number = (each.strip() for each in part.partition("="))
            if not equals:
                raise InputError(
                    f"{part!r:.40} in --require; wanted name=number, such as cosine=0.98"
                )
            if name in wanted:
                raise InputError(f"--require has {name} twice; wanted it once")
            if name not in KINDS:
                raise InputError(f"--require {name!r:.40}; wanted one of {', '.join(KINDS)}")
            try:
                wanted[name] = float(number)
            except ValueError:
                raise InputError(
                    f"--require {name}={number!r:.40}; wanted {KINDS[name].wanted}"
                ) from None
        return cls(wanted)

    @property
    def is_of_directions(self) -> bool:
        """Whether rows that are near for their length serve it: whatever rests on cosines."""
        return all(each.name != "error" for each in self.all)

    def check_data(self, given: Sequence[str]) -> None:
        """Refuses a requirement whose task has no data, before any work.

        Args:
            given: The flags that name data, of those that were given.

        Raises:
            InputError: One has none.
        """
        for each in self.all:
            needs = KINDS[each.name].needs
            if needs and needs not in given:
                raise InputError(f"{each} is required without data for it; add {needs} FILE")

    def shortfall(self, report: Report) -> float:
        """Returns how much is missing of that which is missing most; above 0 where some is."""
        return max((each.shortfall(report) for each in self.all), default=0.0)

    def unmet(self, report: Report) -> list[str]:
        """Returns what falls short, in words: what was seen, and what is wanted."""
        return [each.tell(report) for each in self.all if each.shortfall(report) > 0]

    def tell(self, report: Report) -> str:
        """Returns what was seen of all that is required, in words."""
        return ", ".join(each.tell(report) for each in self.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    def __str__(self) -> str:
        return ",".join(map(str, self.all))


def requirements_of(
    require: Requirements | Mapping[str, float] | None, find: bool
) -> Requirements:
    """Returns what is required, and refuses a search for a size that nothing is required of.

    Args:
        require: The requirements, or their numbers by name.
        find: Whether the smallest size that reaches them is searched.

    Raises:
        InputError: There is nothing to search it for, or a number is out of its range.
    """
    requirements = require if isinstance(require, Requirements) else Requirements(require)
    if find and not requirements:
        raise InputError(
            "--find searches the smallest size that reaches what --require asks for; add --require"
        )
    return requirements
