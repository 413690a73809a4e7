"""Writing a model's folder with its compressed tables decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.files import atomic_directory, check_place
from nncompress.formats.safetensors import map_tensors
from nncompress.formats.small_floats import bfloat16
from nncompress.missing import brought_by
from nncompress.models import model2vec_folder, transformers_folder
from nncompress.models.folder import check_new_folder, transformers_in
from nncompress.models.folder_files import copy_the_rest
from nncompress.models.readme import own_readmes
from nncompress.models.slots import compressed_name
from nncompress.models.static_file import TABLES, StaticTable, is_compressed, read_static
from nncompress.models.table_facts import check_tensors
from nncompress.models.tensors import NewTensor, new_tensor, rewrite_tensors

# The types that tables are decoded to, and their names in safetensors files.
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_MOST_HALF = float(np.finfo(np.float16).max)
_WHAT = "a model's safetensors file"


@dataclass(frozen=True)
class _Decoded:
    """A table to decode.

    Attributes:
        file: The safetensors file, relative to the folder.
        tensor: The name of the decoded matrix.
        left_out: The tensors that it replaces, each with its file.
        rows: The decoded rows, float32 ``(N, D)``.
    """

    file: Path
    tensor: str
    left_out: list[tuple[Path, str]]
    rows: np.ndarray


def decode_folder(folder: Path, output: Path, dtype: str) -> list[tuple[str, tuple[int, ...]]]:
    """Writes a folder with its compressed tables decoded, and copies everything else.

    Args:
        folder: A folder with compressed tables.
        output: The folder to write.
        dtype: The type of the decoded tables, one of ``DTYPES``.

    Returns:
        The name and shape of each table.

    Raises:
        InputError: There is no compressed table, the output exists, or a number is too large for
            the type.
        FormatError: A file is damaged.
        OutputError: The folder cannot be written.
    """
    if dtype not in DTYPES:
        raise InputError(f"unknown type {dtype!r}; wanted one of {', '.join(DTYPES)}")
    check_new_folder(output, folder)
    check_place(output)
    own = [each for each in transformers_in(folder)
           if transformers_folder.compressed_tables(folder, each)]  # fmt: skip
    is_static = model2vec_folder.recognizes(folder)
    found = []
    with atomic_directory(output) as temporary:
        changed: dict[Path, bytes] = {}
        done: set[Path] = set()
        for part, tables in _tables(folder, own, is_static):
            left_out: dict[Path, set[str]] = {}
            new: dict[Path, dict[str, NewTensor]] = {}
            for table in tables:
                for file, name in table.left_out:
                    left_out.setdefault(file, set()).add(name)
                    new.setdefault(file, {})
                new[table.file][table.tensor] = _as(dtype, table)
                found.append((table.tensor, table.rows.shape))
            more = 0
            for file, tensors in new.items():
                more += rewrite_tensors(folder / file, temporary / file, left_out[file], tensors)
            done |= new.keys()
            if part is None:
                changed |= model2vec_folder.restored_files(folder, dtype)
            else:
                changed |= transformers_folder.restored_files(folder, part)
                changed |= transformers_folder.changed_index(
                    folder, part,
                    {name for names in left_out.values() for name in names},
                    {name: file.name for file, tensors in new.items() for name in tensors}, more,
                )  # fmt: skip
        if not found:
            raise InputError(f"{folder} has no compressed table; wanted a folder with one")
        copy_the_rest(folder, temporary, {*done, *changed, *own_readmes(folder)})
        for name, content in changed.items():
            (temporary / name).write_bytes(content)
    return found


def _tables(
    folder: Path, own: list[Path], is_static: bool
) -> Iterator[tuple[Path | None, list[_Decoded]]]:
    """Yields each transformers model's folder, or None for static models, with its tables."""
    if is_static:
        yield None, [*_static(folder)]
    for part in own:
        tables = transformers_folder.compressed_tables(folder, part)
        files = transformers_folder.tensor_files(folder / part)
        yield (
            part,
            [_of_module(folder, part, name, facts, files) for name, facts in tables.items()],
        )


def _static(folder: Path) -> Iterator[_Decoded]:
    for file in model2vec_folder.weight_files(folder):
        if is_compressed(folder / file):
            name = next(each for each in TABLES if compressed_name(each) in _names(folder / file))
            rows = _rows_of(read_static(folder / file))
            yield _Decoded(file, name, [(file, compressed_name(name))], rows)


def _rows_of(static: StaticTable) -> np.ndarray:
    if not static.trained:
        return static.rows.to_numpy()
    from nncompress.models.static_module import table_embedding

    return table_embedding(static).weight.detach().numpy()


def _names(path: Path) -> list[str]:
    return list(map_tensors(path, _WHAT).dtypes)


def _of_module(
    folder: Path, own: Path, name: str, facts: dict[str, Any], files: dict[str, Any]
) -> _Decoded:
    """Decodes a table of a transformers model, including added rows and trained parts."""
    tensors = {key: entry for key, (_, entry) in files.items()}
    check_tensors(name, facts, tensors, str(folder / own))
    with brought_by("hf"):
        import torch

    from nncompress.embedding.bridges.torch_module import TableEmbedding

    module = TableEmbedding(
        facts["num_bytes"], facts["num_embeddings"], facts["embedding_dim"],
        num_added=facts.get("num_added", 0),
        trained={k: tuple(v) for k, v in facts.get("trained", {}).items()},
    )  # fmt: skip
    state = {}
    for key in module.state_dict():
        full = f"{name}.{key}"
        mapped = map_tensors(folder / own / files[full][0], _WHAT)
        values = mapped.tensors[full]
        if mapped.dtypes[full] == "BF16":
            values = bfloat16(values)
        state[key] = torch.from_numpy(np.array(values))
    module.load_state_dict(state)
    rows = module.weight.detach().numpy()
    matrix = f"{name}.weight"  # an empty tensor, there only because loaders expect it
    gone = [*(f"{name}.{key}" for key in state), matrix]
    left_out = [(own / files[each][0], each) for each in gone if each in files]
    return _Decoded(own / files[f"{name}.nnc"][0], matrix, left_out, rows)


def _as(dtype: str, table: _Decoded) -> NewTensor:
    """Returns decoded rows as a tensor of the given type."""
    rows = table.rows
    if dtype == "float16" and np.abs(rows).max() > _MOST_HALF:
        raise InputError(
            f"{table.tensor} contains {np.abs(rows).max():.6g}, which is too large for float16; "
            "wanted bfloat16 or float32"
        )
    if dtype == "bfloat16":  # rounded to the nearest, ties to even
        bits = rows.view(np.uint32)
        rows = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return new_tensor(DTYPES[dtype], rows.astype(np.float16) if dtype == "float16" else rows)
