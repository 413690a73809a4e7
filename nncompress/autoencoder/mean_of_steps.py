"""A mean over several steps, as observers of training see it."""

from typing import NamedTuple


class MeanOfSteps(NamedTuple):
    """A mean that counts for as many steps as it is of.

    Chainer's summaries take a tuple for a value and its weight. To everybody else it is a number:
    it converts to ``float``, and is printed and formatted as its value.

    Attributes:
        value: The mean.
        steps: The number of steps that it is of.
    """

    value: float
    steps: int

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, specification: str) -> str:
        return format(self.value, specification)
