"""Hyperparameters by name, with defaults, from a string such as ``"rank=200,use_tpu=True"``."""

import numbers
from collections.abc import Mapping
from typing import Self

from nncompress.errors import InputError

Value = bool | int | float | str


class HParams:
    """Named values of fixed types, read as attributes.

    Args:
        defaults: The names, and values whose types theirs will be.

    .. admonition:: Example

        >>> hparams = HParams(rank=100, name="model").parse("rank=200")
        >>> hparams.rank
        200
    """

    def __init__(self, **defaults: Value) -> None:
        self.__dict__["_values"] = dict(defaults)

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

    def __repr__(self) -> str:
        return f"HParams({', '.join(f'{k}={v!r}' for k, v in self._values.items())})"

    def parse(self, text: str) -> Self:
        """Sets values from ``name=value,name=value``; returns the object itself.

        Raises:
            InputError: A name is unknown, a value is not of its type, or the values do not fit
                together. Nothing has been set then.
        """
        given: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, separator, value = part.partition("=")
            if not separator:
                raise InputError(f"{part!r} is not of the form name=value")
            given[name.strip()] = value.strip()
        return self.update(given)

    def update(self, given: Mapping[str, object]) -> Self:
        """Sets values, given as strings or in their types; returns the object itself.

        Raises:
            InputError: A name is unknown, a value is not of its type, or the values do not fit
                together. Nothing has been set then.
        """
        values = self._values | {name: self._typed(name, value) for name, value in given.items()}
        check(values)
        self._values.update(values)
        return self

    def set_hparam(self, name: str, value: object) -> None:
        """Sets one value, given as a string or in its type.

        Raises:
            InputError: The name is unknown, the value is not of its type, or does not fit the
                others. Nothing has been set then.
        """
        self.update({name: value})

    def get(self, name: str, default: Value | None = None) -> Value | None:
        """Returns a value, or a default for an unknown name."""
        return self._values.get(name, default)

    def values(self) -> dict[str, Value]:
        """Returns a copy of all names and values."""
        return dict(self._values)

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


_AT_LEAST_ONE = (
    *("compression_frequency", "rank", "block_size", "num_codewords", "input_block_size"),
    *("output_block_size", "input_compression_factor", "output_compression_factor"),
)


def check(values: Mapping[str, Value]) -> None:
    """Refuses values that do not fit together.

    Raises:
        InputError: The message names the hyperparameter.
    """
    for name in _AT_LEAST_ONE:
        if values.get(name, 1) < 1:
            raise InputError(f"{name} is {values[name]}; wanted at least 1")
    begin = values.get("begin_compression_step", 0)
    end = values.get("end_compression_step", -1)
    if end != -1 and begin >= end:
        raise InputError(
            f"begin_compression_step is {begin} and end_compression_step {end}; wanted the "
            "beginning before the end, or an end of -1 for none"
        )
    if not values.get("alpha_decrement_value", 0.01) > 0:
        raise InputError(
            f"alpha_decrement_value is {values['alpha_decrement_value']}; wanted more than 0"
        )
    if not 0 <= values.get("pruning_fraction", 0.0) < 1:
        raise InputError(
            f"pruning_fraction is {values['pruning_fraction']}; wanted at least 0 and below 1"
        )
    if values.get("compression_option") == 4 and values.get("pruning_fraction"):
        raise InputError(
            f"pruning_fraction is {values['pruning_fraction']} with compression_option 4; wanted "
            "option 8, which prunes before k-means"
        )
    if values.get("update_option", 0) not in (0, 1):
        raise InputError(
            f"update_option is {values['update_option']}; wanted 0, for updates by the trainer's "
            "extension, or 1, for your own calls of run_update_step"
        )
    if values.get("num_codebooks", 0) < 0:
        raise InputError(f"num_codebooks is {values['num_codebooks']}; wanted 0 or more")
    if not 2 <= values.get("num_codewords", 16) <= 65_536:
        raise InputError(f"num_codewords is {values['num_codewords']}; wanted 2 to 65,536")


# The original's pruning schedule, which this library has no use for.
PRUNING_SCHEDULE = (
    *("begin_pruning_step", "end_pruning_step", "pruning_frequency", "initial_sparsity"),
    *("target_sparsity", "sparsity_function_begin_step", "sparsity_function_end_step"),
    *("sparsity_function_exponent", "threshold_decay", "nbins", "block_height", "block_width"),
    *("block_pooling_function", "weight_sparsity_map", "prune_option", "gradient_decay_rate"),
)


class CompressionHParams(HParams):
    """Hyperparameters of a compression op; those of the original's pruning are refused."""

    def _typed(self, name: str, value: object) -> Value:
        if name in PRUNING_SCHEDULE:
            raise InputError(
                f"{name} belongs to the original's pruning schedule, which is not supported; "
                "pruning happens once, by pruning_fraction, when the matrix is factored"
            )
        return super()._typed(name, value)
