"""Pairwise sums of blocks, which round the same no matter where partial sums are computed."""

from typing import Generic, Protocol, TypeVar


class Addend(Protocol):
    """An object that can be added to another."""

    def __add__(self, other):
        """Returns the sum."""


Item = TypeVar("Item", bound=Addend)


class PairwiseSum(Generic[Item]):
    """A sum of items in order: neighbours are added first, then neighbouring sums, and so on.

    It works as a binary counter: there is at most one sum for each power of 2 of items, larger
    ones first. Items may also be added as sums of ``2**level`` items that start at a multiple of
    that.

    Attributes:
        parts: Levels and sums, in the order of their items.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[int, Item]] = []

    @property
    def count(self) -> int:
        """The number of items so far."""
        return sum(1 << level for level, _ in self.parts)

    def add(self, item: Item, level: int = 0) -> None:
        """Adds the next item, or the sum of the next ``2**level`` items."""
        while self.parts and self.parts[-1][0] == level:
            _, before = self.parts.pop()
            item = before + item
            level += 1
        self.parts.append((level, item))

    def total(self) -> Item:
        """Returns the sum of all items so far, at least one."""
        _, total = self.parts[-1]
        for _, before in reversed(self.parts[:-1]):
            total = before + total
        return total
