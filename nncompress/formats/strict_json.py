"""JSON that every reader accepts: without NaN and Infinity, which Python would write."""

import json
import math
from collections.abc import Mapping


def strict_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Returns a value as JSON, with null for every number that is not finite.

    Args:
        value: Mappings, lists, tuples, strings, numbers, booleans and None.
        indent: The number of spaces to indent each level by; None for a single line.
        sort_keys: Whether to sort names.
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
