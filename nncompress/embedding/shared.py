"""Properties computed once and shared by tables with the same codebook."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class shared_property(Generic[Value]):
    """A property that is computed on first use and kept in the object's ``_made``.

    Objects with the same ``_made`` share it.

    Args:
        make: Computes the value for an object.
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make, self._name, self.__doc__ = make, make.__name__, make.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "shared_property[Value]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: Any, owner: type) -> "shared_property[Value] | Value":
        """Returns the value."""
        if instance is None:
            return self
        made: dict[str, Any] = instance._made
        if self._name not in made:
            made[self._name] = self._make(instance)
        return made[self._name]
