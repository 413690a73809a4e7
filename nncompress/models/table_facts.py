"""Checks of the entries for compressed tables in ``config.json``, made before they are used."""

from collections.abc import Iterable, Mapping
from typing import Any

from nncompress.errors import FormatError
from nncompress.formats.safetensors import Tensor
from nncompress.sources.hugging_face import FLOATS

_SIZES = ("num_bytes", "num_embeddings", "embedding_dim")


def check_tables(tables: object, where: str) -> dict[str, dict[str, Any]]:
    """Returns the entry of each table, by its module; ``NncConfig`` documents the entries.

    Args:
        tables: The content of ``tables``.
        where: The file that holds it, for messages.

    Raises:
        FormatError: It has another form.
    """
    if not isinstance(tables, Mapping):
        raise FormatError(f"{where} lists no compressed tables; wanted an unmodified folder")
    for name, facts in tables.items():
        if not isinstance(facts, Mapping) or not _is_whole(facts):
            raise FormatError(
                f"{where} has {facts!r:.200} for the compressed table {name!r:.99}; wanted "
                f"{', '.join(_SIZES)}, unmodified"
            )
    return {name: dict(facts) for name, facts in tables.items()}


def check_tensors(
    name: str, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str
) -> None:
    """Refuses tensors that do not match a table's entry, before memory is allocated for it.

    Args:
        name: The table's module, by its name in the files.
        facts: The table's entry.
        tensors: The tensors of the files.
        where: The folder that holds them, for messages.

    Raises:
        FormatError: A tensor is missing, or of another type or shape.
    """
    wanted: dict[str, tuple[Iterable[str], tuple[int, ...]]] = {
        "nnc": (("U8",), (facts["num_bytes"],))
    }
    if facts.get("num_added"):
        wanted["added"] = FLOATS, (facts["num_added"], facts["embedding_dim"])
    wanted |= {own: (FLOATS, tuple(shape)) for own, shape in facts.get("trained", {}).items()}
    for own, (dtypes, shape) in wanted.items():
        full = f"{name}.{own}"
        if full not in tensors:
            raise FormatError(
                f"{where} has no tensor {full!r:.99}, which its config.json lists; wanted an "
                "unmodified folder"
            )
        seen = tensors[full]
        if seen.dtype not in dtypes or seen.shape != shape:
            raise FormatError(
                f"{where}: tensor {full!r:.99} has type {seen.dtype} and shape {seen.shape}; "
                f"according to config.json its type is {' or '.join(dtypes)} and its shape {shape}"
            )


def _is_whole(facts: Mapping[str, Any]) -> bool:
    """Tells whether facts have the expected types."""
    trained = facts.get("trained", {})
    return (
        all(_is_number(facts.get(size), 1) for size in _SIZES)
        and _is_number(facts.get("num_added", 0), 0)
        and isinstance(facts.get("is_head", False), bool)
        and isinstance(trained, Mapping)
        and all(
            isinstance(shape, list | tuple) and all(_is_number(size, 1) for size in shape)
            for shape in trained.values()
        )
    )


def _is_number(value: object, least: int) -> bool:
    return type(value) is int and least <= value < 1 << 63
