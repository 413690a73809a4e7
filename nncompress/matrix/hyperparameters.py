"""Named hyperparameters with defaults, set by a string such as ``"rank=200,use_tpu=True"``."""

import json
import numbers
from collections.abc import Mapping
from typing import Self

from nncompress.errors import InputError
from nncompress.matrix.checks import REFUSED, check
from nncompress.matrix.options import CompressionOptions, UpdateOptions

Value = bool | int | float | str


class HParams:
    """Named values of fixed types, read as attributes.

    Args:
        defaults: The names and their default values, which fix the types: bool, int, float or str.

    Raises:
        InputError: A name is taken by a method, or a value is of another type.

    Examples:
        >>> hparams = HParams(rank=100, name="model").parse("rank=200")
        >>> hparams.rank
        200
    """

    def __init__(self, **defaults: Value) -> None:
        self.__dict__["_values"] = {}
        for name, value in defaults.items():
            self.add_hparam(name, value)

    def __setattr__(self, name: str, value: object) -> None:
        self.set_hparam(name, value)

    def copy(self) -> Self:
        """Returns another object with the same values."""
        return type(self)(**self._values)

    def __getattr__(self, name: str) -> Value:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(f"there is no hyperparameter {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return f"HParams({', '.join(f'{k}={v!r}' for k, v in self._values.items())})"

    def parse(self, text: str) -> Self:
        """Sets values from ``name=value,name=value``; returns the object itself.

        Raises:
            InputError: A name is unknown or given twice, a value is of the wrong type, or the
                values do not fit together. In that case nothing is set.
        """
        if not isinstance(text, str):
            raise InputError(
                f"the hyperparameters are of type {type(text).__name__}; wanted a string of the "
                "form name=value,name=value"
            )
        given: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, separator, value = part.partition("=")
            name = name.strip()
            if not separator:
                raise InputError(f"{part!r} is not of the form name=value")
            if name in given:
                raise InputError(
                    f"{name} is given twice, as {given[name]!r} and {value.strip()!r}"
                )
            given[name] = value.strip()
        return self.update(given)

    def parse_json(self, text: str) -> Self:
        """Sets values from a JSON object of names and values; returns the object itself.

        Raises:
            InputError: The text is not a JSON object, a name is unknown, a value is of the wrong
                type, or the values do not fit together. In that case nothing is set.
        """
        if not isinstance(text, str):
            raise InputError(
                f"the hyperparameters are of type {type(text).__name__}; wanted a JSON string"
            )
        try:
            given = json.loads(text, object_pairs_hook=_unique)
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(f"the hyperparameters are not valid JSON: {error}") from None
        if not isinstance(given, dict):
            raise InputError(
                f"the hyperparameters are a JSON {_JSON_KINDS[type(given)]}; wanted an object of "
                "names and values"
            )
        return self.update(given)

    def update(self, given: Mapping[str, object]) -> Self:
        """Sets values, given as strings or in their own types; returns the object itself.

        Raises:
            InputError: A name is unknown, a value is of the wrong type, or the values do not fit
                together. In that case nothing is set.
        """
        if not isinstance(given, Mapping):
            raise InputError(
                f"the hyperparameters are of type {type(given).__name__}; wanted a dictionary of "
                "names and values"
            )
        values = self._values | {name: self._typed(name, value) for name, value in given.items()}
        check(values)
        self._values.update(values)
        return self

    override_from_dict = update  # the original's name

    def set_hparam(self, name: str, value: object) -> None:
        """Sets one value, given as a string or in its own type.

        Raises:
            InputError: The name is unknown, or the value is of the wrong type or does not fit the
                others. In that case nothing is set.
        """
        self.update({name: value})

    def add_hparam(self, name: str, value: Value) -> None:
        """Adds a name with a value, which also fixes its type.

        Raises:
            InputError: The name already exists or is taken by a method, or the value is not a
                bool, an int, a float or a str.
        """
        if name in self._values or hasattr(type(self), name):
            raise InputError(f"the name {name!r} is taken; choose another for the hyperparameter")
        kind = next((kind for kind in (bool, int, float, str) if isinstance(value, kind)), None)
        if kind is None:
            raise InputError(f"{name} is {value!r}; wanted a bool, an int, a float or a str")
        self._values[name] = kind(value)

    def del_hparam(self, name: str) -> None:
        """Removes a name if it exists."""
        self._values.pop(name, None)

    def get(self, name: str, default: Value | None = None) -> Value | None:
        """Returns a value, or a default for an unknown name.

        Raises:
            InputError: The name is known, but the default is not of its type.
        """
        if name not in self._values:
            return default
        if default is not None:
            self._typed(name, default)
        return self._values[name]

    def values(self) -> dict[str, Value]:
        """Returns a copy of all names and values."""
        return dict(self._values)

    def to_json(
        self,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        """Returns a JSON object of all names and values, which ``parse_json`` reads.

        Args:
            indent: As for ``json.dumps``: the number of spaces per level; None puts all in one
                line.
            separators: The separators between pairs, and between a name and its value; None
                means ``(", ", ": ")``, without a space at the ends of lines.
            sort_keys: Whether names are sorted.
        """
        return json.dumps(self._values, indent=indent, separators=separators, sort_keys=sort_keys)

    def _typed(self, name: str, value: object) -> Value:
        if name not in self._values:
            raise InputError(
                f"there is no hyperparameter {name!r}; wanted one of {', '.join(self._values)}"
            )
        kind = type(self._values[name])
        if isinstance(value, str) and kind is not str:
            return _parsed(name, value, kind)
        kinds = {int: numbers.Integral, float: numbers.Real}
        fits = isinstance(value, kinds.get(kind, kind))
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{name} is {value!r}; wanted a value of type {kind.__name__}")
        return kind(value)


_JSON_KINDS = {
    list: "array", str: "string", int: "number", float: "number", bool: "boolean",
    type(None): "null",
}  # fmt: skip


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Returns the pairs of a JSON object as a dictionary; refuses duplicate names."""
    given: dict[str, object] = {}
    for name, value in pairs:
        if name in given:
            raise InputError(f"{name} is given twice, as {given[name]!r} and {value!r}")
        given[name] = value
    return given


def _parsed(name: str, text: str, kind: type) -> Value:
    if kind is bool:
        known = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() in known:
            return known[text.lower()]
    else:
        try:
            return kind(text)
        except ValueError:
            pass
    raise InputError(f"{name} is {text!r}; wanted a value of type {kind.__name__}")


_NAMED = {"compression_option": CompressionOptions, "update_option": UpdateOptions}


class CompressionHParams(HParams):
    """Hyperparameters of a compression op; refuses those of the original that mean nothing here.

    ``compression_option`` and ``update_option`` are given as numbers, as members of
    ``CompressionOptions`` and ``UpdateOptions``, or by their names.
    """

    def _typed(self, name: str, value: object) -> Value:
        if name in REFUSED and name not in self._values:
            raise InputError(f"{name} has no meaning here: {REFUSED[name]}")
        if name in _NAMED and isinstance(value, str):
            value = _number(name, value)
        return super()._typed(name, value)


def _number(name: str, text: str) -> int:
    """Returns the number of an option given by number or by name."""
    members = _NAMED[name].__members__
    if text in members:
        return members[text]
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{name} is {text!r}; wanted a number, or one of {', '.join(members)}"
        ) from None
