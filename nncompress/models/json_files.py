"""The JSON files that describe a model's folder."""

import json
from pathlib import Path
from typing import Any

from nncompress.errors import FormatError

_MOST_BYTES = 64 << 20


def read_json(path: Path, kind: type) -> Any:
    """Returns the content of a JSON file.

    Args:
        path: The file.
        kind: The expected type of the content: ``dict`` or ``list``.

    Raises:
        FormatError: The content is something else, or too large.
    """
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise FormatError(f"{path} has {size:,} bytes; wanted a JSON file below 64 MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, kind):
        raise FormatError(f"{path} holds a {type(content).__name__}; wanted a {kind.__name__}")
    return content


def as_bytes(content: object) -> bytes:
    """Returns JSON in the layout of models' files."""
    return (json.dumps(content, indent=2) + "\n").encode("utf-8")
