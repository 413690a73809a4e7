"""Sums of blocks in pairs, so that they round the same wherever parts of them are made."""

from typing import Generic, Protocol, TypeVar


class Addend(Protocol):
    """What can be added."""

    def __add__(self, other):
        """Returns the sum."""


Item = TypeVar("Item", bound=Addend)


class PairwiseSum(Generic[Item]):
    """A sum of items in their order: neighbours, then neighbouring sums, and so on.

    It is a binary counter: there is at most one sum of each power of 2 of items, the larger ones
    first. Items may come as sums of ``2**level`` of them that begin at a multiple of that.

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
