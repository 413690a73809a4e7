"""The gate: what is made has to reach what is required of it, or is not written."""

import math
import warnings
from collections.abc import Callable
from typing import TypeVar

from nncompress.errors import InputError, NotGoodEnough, OutOfReach
from nncompress.evaluate.report import Report
from nncompress.evaluate.requirements import Requirements
from nncompress.evaluate.step_search import StepSearch

Made = TypeVar("Made")

# The sizes that are searched, in bits a dimension, and the one to begin with. The largest is that
# of float32, which small tables come near, for what all rows share counts there.
BITS = (0.05, 32.0)
_FIRST_BITS = 2.0
# How many sizes are tried: twice as many where all are too small; and how near they come.
_TRIALS, _NEAR = 8, 0.05
# About what a shortfall falls by with the logarithm of the bits, and that of what cannot be made.
_SLOPE, _CANNOT = 3.0, 3.0


def check(report: Report, requirements: Requirements) -> None:
    """Refuses what falls short.

    Args:
        report: What was measured.
        requirements: What is required.

    Raises:
        NotGoodEnough: Something falls short; the message has every figure that does.
        InputError: Something required was not measured.
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
    """Searches the smallest size at which everything required is reached.

    Sizes are tried where what falls short most would be just enough, between one that is enough
    and one that is not, until they are within a twentieth of each other, or a twentieth of what
    may be lost is left, or eight have been tried.

    Args:
        make: Makes a result of so many bits a dimension; ``OutOfReach`` says that it cannot be so
            small.
        measure: Measures it.
        requirements: What is required, at least one thing.
        bounds: The smallest and the largest size, in bits a dimension.
        report: A function that takes a line for each that was tried; None for silence.

    Returns:
        The smallest result that is good enough, and what was measured of it.

    Raises:
        NotGoodEnough: Even the largest falls short.
        InputError: Nothing is required, or something that is required was not measured.
    """
    if not requirements:
        raise InputError("a smallest size is to be found without anything required of it")
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
    for each in warned:  # of the size that was found, and of no other
        warnings.warn(each.message, each.category, stacklevel=2)
    return best
