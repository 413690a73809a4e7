"""JSON that every reader takes: without the tokens NaN and Infinity, which Python's has."""

import json
import math
from collections.abc import Mapping


def strict_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Returns a value as JSON, with null for every number that is not finite.

    Args:
        value: Mappings, lists, tuples, strings, numbers, truth values and None.
        indent: Spaces that each level is indented by; None: all in one line.
        sort_keys: Whether names are sorted.
    """
    return json.dumps(
        _without_infinities(value), indent=indent, sort_keys=sort_keys, allow_nan=False
    )


def _without_infinities(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _without_infinities(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_infinities(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
