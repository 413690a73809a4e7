"""A user's numeric requirements for a compressed table or model."""

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nncompress.errors import InputError
from nncompress.evaluate.report import Report

# Losses this small count as none, for figures, points, and the ratio of perplexities.
_NOTHING, _NO_POINTS, _NO_RATIO = 1e-30, 0.1, 1e-3
_ALL = 1e30


@dataclass(frozen=True)
class _Kind:
    """A kind of requirement.

    Attributes:
        range: The smallest and the largest possible limit.
        wanted: The description of a valid limit, for messages.
        limit: The text for a limit in messages, with ``{}`` for the number.
        needs: The flag for the data of a task; empty for figures of rows.
        is_least: Whether the limit is a minimum rather than a maximum.
    """

    range: tuple[float, float]
    wanted: str
    limit: str
    needs: str = ""
    is_least: bool = False


_POINTS = "a difference from the original in points of 100, 0 or less, such as -0.5"
KINDS = {
    "error": _Kind((0, math.inf), "a share of the variance, such as 0.1", "at most {}"),
    "cosine": _Kind((-1, 1), "a cosine, such as 0.98", "at least {}", is_least=True),
    "cosine_worst": _Kind((-1, 1), "a cosine, such as 0.9", "at least {}", is_least=True),
    "recall": _Kind((0, 1), "a share from 0 to 1, such as 0.9", "at least {}", is_least=True),
    "pairs": _Kind((-200, 0), _POINTS, "a change of at least {} points", "--pairs", is_least=True),
    "sts": _Kind((-200, 0), _POINTS, "a change of at least {} points", "--sts", is_least=True),
    "perplexity": _Kind(
        (1, math.inf), "a multiple of the original's, 1 or more, such as 1.02",
        "at most {} times the original's", "--text",
    ),
    "kl": _Kind(
        (0, math.inf), "nats per token, such as 0.01", "at most {} nats per token", "--text"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Requirement:
    """A limit that a result must meet.

    Attributes:
        name: The quantity that is limited, one of ``KINDS``:
            - ``error``: the largest mean squared distance over the table's variance;
            - ``cosine``, ``cosine_worst``: the smallest mean cosine, over all rows and over the
              worst hundredth of the rows;
            - ``recall``: the smallest share of the 10 nearest neighbours kept;
            - ``pairs``, ``sts``: the lowest allowed change of the score on word or sentence
              similarity, in points of 100, 0 or less: -0.5 is half a point below the original;
            - ``perplexity``: the largest ratio of the perplexity to the original's, at least 1;
            - ``kl``: the largest mean Kullback-Leibler divergence, in nats per token.
        limit: The limit. It is compared with the measured value, not with the ends of its
            interval.

    Raises:
        InputError: The name is unknown, or the limit is out of its range.
    """

    name: str
    limit: float

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise InputError(
                f"unknown requirement {self.name!r:.40}; wanted one of {', '.join(KINDS)}"
            )
        kind = KINDS[self.name]
        if isinstance(self.limit, bool) or not isinstance(self.limit, numbers.Real):
            raise InputError(f"{self.name} is required to be {self.limit!r:.40}; wanted "
                             f"{kind.wanted}")  # fmt: skip
        low, high = kind.range
        if not (low <= self.limit <= high and math.isfinite(self.limit)):
            raise InputError(f"{self.name} is required to be {self.limit:g}; wanted {kind.wanted}")

    def seen(self, report: Report) -> float:
        """Returns the measured value; if there are several tasks of a kind, the worst.

        Raises:
            InputError: It was not measured.
        """
        if self.name in report.figures:
            return report.figures[self.name].value
        seen = [score.change.value for score in report.scores if score.task == self.name]
        if not seen:
            needs = KINDS[self.name].needs
            how = f"name its data ({needs} FILE)" if needs else "the table has too few rows"
            raise InputError(f"{self.name} is required but was not measured: {how}")
        return min(seen) if KINDS[self.name].is_least else max(seen)

    def shortfall(self, report: Report) -> float:
        """Returns the shortfall, which is above 0 if the requirement is not met.

        It is the logarithm of the loss over the allowed loss, which falls roughly linearly with
        the logarithm of the bits.
        """
        return self._shortfall_of(self.seen(report))

    def _shortfall_of(self, seen: float) -> float:
        lost, allowed = self._lost(seen), self._lost(self.limit)
        if not lost < _ALL:  # NaN never meets a requirement
            lost = _ALL
        return math.log(max(lost, _NOTHING) / max(allowed, _NOTHING))

    def _lost(self, value: float) -> float:
        """Returns the loss that a measured value or a limit stands for."""
        if self.name in ("pairs", "sts"):
            return max(-value, 0.0) + _NO_POINTS
        if self.name == "perplexity":
            return max(value - 1, 0.0) + _NO_RATIO
        return 1 - value if KINDS[self.name].is_least else value

    def tell(self, report: Report) -> str:
        """Describes the measured value and the limit in words."""
        wanted = KINDS[self.name].limit.format(f"{self.limit:g}")
        seen = self.seen(report)
        shown = f"{seen:.5g}"
        if self._shortfall_of(seen) > 0 >= self._shortfall_of(float(shown)):  # hidden by rounding
            shown = str(seen)
        return f"{self.name} {shown} (wanted {wanted})"

    def __str__(self) -> str:
        return f"{self.name}={self.limit:g}"


class Requirements:
    """All requirements for a result.

    Args:
        wanted: The limits, by name.

    Raises:
        InputError: A name is unknown, or a limit is out of its range.
    """

    def __init__(self, wanted: Mapping[str, float] | None = None) -> None:
        if wanted is not None and not isinstance(wanted, Mapping):
            raise InputError(f"the requirements are {wanted!r:.99}; wanted numbers by name, such "
                             "as {'cosine': 0.98}")  # fmt: skip
        self.all = tuple(Requirement(*each) for each in (wanted or {}).items())

    @classmethod
    def parse(cls, text: str | None) -> "Requirements":
        """Parses ``name=number``, or several separated by commas; None is no requirement.

        Raises:
            InputError: The text has another form.
        """
        wanted: dict[str, float] = {}
        for part in [] if text is None else text.split(","):
            name, equals, number = (each.strip() for each in part.partition("="))
            if not equals:
                raise InputError(
                    f"--require has {part!r:.40}; wanted name=number, such as cosine=0.98"
                )
            if name in wanted:
                raise InputError(f"--require has {name} twice; give it once")
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
        """Whether all requirements rest on cosines, so that rows may be close for their length."""
        return all(each.name != "error" for each in self.all)

    def check_data(self, given: Sequence[str]) -> None:
        """Refuses a requirement whose task has no data, before any work.

        Args:
            given: The flags for data that were given.

        Raises:
            InputError: A requirement has no data.
        """
        for each in self.all:
            needs = KINDS[each.name].needs
            if needs and needs not in given:
                raise InputError(f"{each} is required, but has no data; add {needs} FILE")

    def shortfall(self, report: Report) -> float:
        """Returns the largest shortfall, which is above 0 if any requirement is not met."""
        return max((each.shortfall(report) for each in self.all), default=0.0)

    def unmet(self, report: Report) -> list[str]:
        """Describes the requirements that are not met, with the measured values."""
        return [each.tell(report) for each in self.all if each.shortfall(report) > 0]

    def tell(self, report: Report) -> str:
        """Describes all requirements, with the measured values."""
        return ", ".join(each.tell(report) for each in self.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    def __str__(self) -> str:
        return ",".join(map(str, self.all))


def requirements_of(
    require: Requirements | Mapping[str, float] | None, find: bool
) -> Requirements:
    """Returns requirements, and refuses a search for the smallest size without any.

    Args:
        require: The requirements, or their limits by name.
        find: Whether to search for the smallest size that meets them.

    Raises:
        InputError: A search is asked for without any requirement, or a limit is out of its range.
    """
    requirements = require if isinstance(require, Requirements) else Requirements(require)
    if find and not requirements:
        raise InputError(
            "--find searches for the smallest size that meets --require; add --require"
        )
    return requirements
