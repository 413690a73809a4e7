"""Rules for settings: one for each kind of value, used for flags, arguments and files alike."""

import math
import numbers
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nncompress.errors import InputError


@dataclass(frozen=True)
class Rule:
    """A rule for a value.

    Attributes:
        wanted: The rule in words.
        holds: Tells whether a value of any type obeys the rule.
    """

    wanted: str
    holds: Callable[[object], bool]

    def check(self, what: str, value: object) -> None:
        """Refuses a value that breaks the rule.

        Args:
            what: The value's name, as the beginning of a sentence.
            value: The value.

        Raises:
            InputError: The value breaks the rule.
        """
        if not self.holds(value):
            seen = f"{value!r:.60}" if isinstance(value, (str, list, dict)) else str(value)[:60]
            raise InputError(f"{what} is {seen}; wanted {self.wanted}")


def whole(least: int, most: int = 1 << 62, wanted: str | None = None) -> Rule:
    """Returns the rule for whole numbers within bounds."""
    return Rule(
        wanted or f"a whole number of {least} or more",
        lambda value: (
            isinstance(value, numbers.Integral)
            and not isinstance(value, bool)
            and least <= int(value) <= most
        ),
    )


def one_of(choices: Iterable[str]) -> Rule:
    """Returns the rule for one of several names."""
    choices = tuple(choices)
    return Rule(
        f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices
    )


def list_of(rule: Rule, wanted: str, length: int | None = None) -> Rule:
    """Returns the rule for lists whose elements obey a rule."""
    return Rule(
        wanted,
        lambda value: (
            isinstance(value, list)
            and length in (None, len(value))
            and all(map(rule.holds, value))
        ),
    )


def optional(rule: Rule) -> Rule:
    """Returns a rule that also accepts None."""
    return Rule(rule.wanted, lambda value: value is None or rule.holds(value))


def _is_positive(value: object) -> bool:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return 0 < float(value) < math.inf
    except OverflowError:  # a whole number too large for a float
        return False


def _is_path(value: object) -> bool:
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    try:
        encoded = os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return len(encoded) < 4_096 and all(len(part) < 256 for part in encoded.split(b"/"))


POSITIVE = Rule("a positive number", _is_positive)
TRUTH = Rule("true or false", lambda value: isinstance(value, (bool, np.bool_)))
TEXT = Rule("text", lambda value: isinstance(value, str))
PATH = Rule("a path", _is_path)
