"""The gate: a result that does not meet its requirements is not written."""

import math
import warnings
from collections.abc import Callable
from typing import TypeVar

from nncompress.errors import InputError, NotGoodEnough, OutOfReach
from nncompress.evaluate.report import Report
from nncompress.evaluate.requirements import Requirements
from nncompress.evaluate.step_search import StepSearch

Made = TypeVar("Made")

# The range of sizes to search, in bits per dimension, and the first one to try. The largest is
# that of float32, which small tables come close to because data shared by all rows counts more.
BITS = (0.05, 32.0)
_FIRST_BITS = 2.0
# The number of sizes to try (twice as many if all are too small), and the tolerance.
_TRIALS, _NEAR = 8, 0.05
# The approximate slope of the shortfall over the logarithm of the bits, and the shortfall that
# stands for a size that cannot be made.
_SLOPE, _CANNOT = 3.0, 3.0


def check(report: Report, requirements: Requirements) -> None:
    """Refuses a result that falls short.

    Args:
        report: The measurements.
        requirements: The requirements.

    Raises:
        NotGoodEnough: A figure falls short; the message lists every figure that does.
        InputError: A required figure was not measured.
    """
    unmet = requirements.unmet(report)
    if unmet:
        raise NotGoodEnough(f"falls short: {'; '.join(unmet)}; nothing was written")


def find_smallest(
    make: Callable[[float], Made],
    measure: Callable[[Made], Report],
    requirements: Requirements,
    bounds: tuple[float, float] = BITS,
    report: Callable[[str], None] | None = None,
) -> tuple[Made, Report]:
    """Searches for the smallest size at which all requirements are met.

    Each trial is the size at which the figure that falls short most is expected to be just good
    enough, between a size that is enough and one that is not. The search ends when these are
    within 5% of each other, when the result uses all but 5% of the allowed loss, or after eight
    trials.

    Args:
        make: A function that makes a result of the given bits per dimension, or raises
            ``OutOfReach`` if it cannot be so small.
        measure: A function that measures it.
        requirements: The requirements, at least one.
        bounds: The smallest and the largest size, in bits per dimension.
        report: A function that is called with a line for each trial; None for silence.

    Returns:
        The smallest result that is good enough, and its measurements.

    Raises:
        NotGoodEnough: Even the largest size falls short.
        InputError: There are no requirements, or a required figure was not measured.
    """
    if not requirements:
        raise InputError("a search for the smallest size needs at least one requirement")
    smallest, largest = (math.log(bits) for bits in bounds)
    search = StepSearch(
        0.0, -largest, -smallest, -math.log(_FIRST_BITS), _SLOPE, _TRIALS, _NEAR
    )  # fmt: skip
    best: tuple[Made, Report] | None = None
    warned: list[warnings.WarningMessage] = []
    told = ""
    while not search.is_over:
        u = search.next()
        bits = math.exp(-u)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                made = make(bits)
        except OutOfReach:
            search.note(u, _CANNOT)
            told = f"{bits:.4g} bits a dimension: cannot be so small"
        else:
            measured = measure(made)
            search.note(u, requirements.shortfall(measured))
            if search.best is not None and search.best[0] == u:
                best, warned = (made, measured), caught
            verdict = "falls short" if search.points[-1][1] > 0 else "is enough"
            told = f"{bits:.4g} bits a dimension {verdict}: {requirements.tell(measured)}"
            del made
        if report is not None:
            report(told)
    if best is None:
        raise NotGoodEnough(f"even {told}; nothing was written")
    for each in warned:  # only those about the size that was found
        warnings.warn(each.message, each.category, stacklevel=2)
    return best
