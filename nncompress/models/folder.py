"""Finding the tables in a model's folder, and writing a folder with them compressed.

The files in a folder tell what kind of model it holds. sentence-transformers' ``modules.json``
lists modules, each of which may be a transformers or a static model.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.nnc_bytes import to_bytes
from nncompress.errors import InputError
from nncompress.formats.files import atomic_directory
from nncompress.models import model2vec_folder, transformers_folder
from nncompress.models.folder_files import copy_the_rest
from nncompress.models.readme import add_readme
from nncompress.models.slots import TableSlot
from nncompress.models.tensors import NewTensor, copied_tensor, new_tensor, rewrite_tensors

NOT_DOWNLOADED = (
    "(models are not downloaded; for one of the Hub: hf download NAME --local-dir DIR)"
)


@dataclass(frozen=True)
class Part:
    """A transformers model, or all static models, in a folder.

    Attributes:
        own: The part's path inside the folder.
        slots: The tables to compress.
        is_static: Whether they belong to static models.
    """

    own: Path
    slots: list[TableSlot]
    is_static: bool


def is_model_folder(path: object) -> bool:
    """Tells whether a path is the folder of a model, whose tables are compressed inside it."""
    if not isinstance(path, (str, Path)) or not Path(path).is_dir():
        return False
    folder = Path(path)
    if (folder / model2vec_folder.MODULES).is_file():  # even if it lists modules of unknown kinds
        return True
    return model2vec_folder.recognizes(folder) or bool(transformers_in(folder))


def find_parts(folder: Path, heads: tuple[str, ...] = ()) -> list[Part]:
    """Finds the tables of a model's folder.

    Args:
        folder: The folder.
        heads: The tensors of additional output layers to compress.

    Raises:
        InputError: There is no table, or a file is missing or does not fit the others.
        FormatError: A file is damaged.
    """
    parts = []
    if model2vec_folder.recognizes(folder):
        parts.append(Part(Path(), model2vec_folder.read(folder), True))
    for own in transformers_in(folder):
        parts.append(Part(own, transformers_folder.read(folder, own, heads), False))
    if not parts:
        raise InputError(
            f"{folder} is not a model of a known kind; wanted a folder of transformers, "
            "sentence-transformers or model2vec, or an output that ends in .nnc for a single table"
        )
    if heads and all(part.is_static for part in parts):
        raise InputError("--head was given, but a static model has no output layer")
    return parts


def check_new_folder(output: Path, folder: Path) -> None:
    """Refuses a folder that cannot be written.

    Raises:
        InputError: The name is taken, or it is inside the model's folder.
    """
    if not folder.exists():
        raise InputError(
            f"{folder} does not exist; wanted a model's folder on this machine {NOT_DOWNLOADED}"
        )
    if not folder.is_dir():
        raise InputError(f"{folder} is not a directory; wanted a model's folder")
    real = Path(os.path.realpath(output))
    if os.path.islink(real):
        raise InputError(f"{output} is a link to itself; wanted a new name for the folder")
    if os.path.exists(output) and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} exists; wanted a new name for the folder to write")
    if real.is_relative_to(os.path.realpath(folder)):
        raise InputError(f"{output} is inside {folder}; wanted a folder outside of it")


def check_untie(folder: Path, slots: Iterable[TableSlot]) -> None:
    """Refuses to untie an output layer if there is none, or if that would untie more.

    Raises:
        InputError: No output layer shares a table, or untying it would untie other tensors too.
    """
    sharing = [slot for slot in slots if slot.head is not None]
    if not sharing:
        raise InputError(
            f"--untie was given, but no output layer of {folder} shares the input embeddings"
        )
    for slot in sharing:
        if slot.tied_too:
            raise InputError(
                f"--untie was given, but then {folder} would not tie {slot.tied_too[0]!r} either; "
                "leave it out, and choose more bits for the shared table"
            )


@contextmanager
def written(
    folder: Path,
    output: Path,
    parts: list[Part],
    tables: Mapping[TableSlot, CompressedEmbedding],
    untie: bool = False,
) -> Iterator[Path]:
    """Writes a folder with compressed tables; all other tensors and files are copied.

    A folder without a README.md gets one that says how to open the model.

    Args:
        folder: The model's folder.
        output: The folder to write, which appears when the block ends.
        parts: The model's parts.
        tables: The compressed table of each slot.
        untie: Whether output layers that share a table keep the original.

    Yields:
        The folder under its temporary name. If the block raises, it is removed.

    Raises:
        OutputError: The folder cannot be written.
    """
    with atomic_directory(output) as temporary:
        changed: dict[Path, bytes] = {}
        done: set[Path] = set()
        for part in parts:
            changed |= _write_part(folder, temporary, part, tables, untie, done)
        copy_the_rest(folder, temporary, {*done, *changed})
        for name, content in changed.items():
            (temporary / name).write_bytes(content)
        add_readme(temporary)
        yield temporary


def _write_part(
    folder: Path,
    output: Path,
    part: Part,
    tables: Mapping[TableSlot, CompressedEmbedding],
    untie: bool,
    done: set[Path],
) -> dict[Path, bytes]:
    """Writes a part's tensor files; returns the new content of its other files."""
    left_out: dict[Path, set[str]] = {}
    new: dict[Path, dict[str, NewTensor]] = {}
    facts: dict[str, dict[str, object]] = {}
    for slot in part.slots:
        data = to_bytes(tables[slot])
        kept = slot.head if untie else None
        for file, name in [(slot.file, slot.tensor), *slot.same]:
            if name != kept:
                left_out.setdefault(file, set()).add(name)
                new.setdefault(file, {})
        new[slot.file][slot.compressed] = new_tensor("U8", data)
        if not part.is_static:
            new[slot.file][slot.tensor] = new_tensor("U8", np.empty(0, np.uint8))
            facts[slot.module] = {
                "num_bytes": len(data), "num_embeddings": slot.num_rows,
                "embedding_dim": slot.dim, **({"is_head": True} if slot.is_head else {}),
            }  # fmt: skip
        if kept is not None and kept not in {name for _, name in slot.same}:
            new[slot.file][kept] = copied_tensor(folder / slot.file, slot.tensor)
    more = 0
    for file, added in new.items():
        more += rewrite_tensors(folder / file, output / file, left_out[file], added)
        done.add(file)
    if part.is_static:
        return model2vec_folder.changed_files(folder)
    own = part.own
    has_untied = untie and any(slot.head is not None for slot in part.slots)
    changed = transformers_folder.changed_files(folder, own, facts, has_untied)
    return changed | transformers_folder.changed_index(
        folder, own,
        {name for names in left_out.values() for name in names},
        {name: file.name for file, tensors in new.items() for name in tensors}, more,
    )  # fmt: skip


def transformers_in(folder: Path) -> list[Path]:
    """Returns the folders of transformers models in a folder: itself, or its modules."""
    if not (folder / model2vec_folder.MODULES).is_file():
        if model2vec_folder.recognizes(folder):  # its config.json has a model_type too
            return []
        return [Path()] if transformers_folder.recognizes(folder) else []
    modules = model2vec_folder.modules_of(folder)
    inside = [Path(m["path"]) for m in modules if not model2vec_folder.is_static(m["type"])]
    return [own for own in inside if transformers_folder.recognizes(folder / own)]
