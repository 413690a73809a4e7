"""The safetensors file of a static model with a compressed table.

The table is one tensor that holds the bytes of a ``.nnc`` file. The tensors ``weights`` and
``mapping`` that model2vec keeps beside it are unchanged, and become the embedding's ``extras``.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.nnc_bytes import of_bytes, to_bytes
from nncompress.embedding.token_rows import MAPPING, WEIGHTS, TokenRows
from nncompress.errors import FormatError
from nncompress.formats.safetensors import TensorFile, map_tensors, write_tensors
from nncompress.models.slots import SUFFIX, compressed_name
from nncompress.sources.token_weights import TABLE, beside_table

# The names of a table in model2vec and in sentence-transformers.
TABLES = MODEL2VEC, SENTENCE_TRANSFORMERS = TABLE, "embedding.weight"
_BESIDE = (MAPPING, WEIGHTS)
_WHAT = "a static model (safetensors)"


@dataclass(frozen=True)
class StaticTable:
    """The content of such a file.

    Attributes:
        embedding: The table, without words; ``weights`` and ``mapping`` are among its ``extras``.
        trained: The parts of it that have been trained since it was compressed, by name.
    """

    embedding: CompressedEmbedding
    trained: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def rows(self) -> CompressedEmbedding:
        """The table without weights and mapping."""
        own = self.embedding
        extras = {name: each for name, each in own.extras.items() if name not in _BESIDE}
        return CompressedEmbedding(own.table, None, own.provenance, extras=extras)


def open_static(path: str | os.PathLike) -> tuple[TensorFile, str]:
    """Maps the file of a static model.

    Returns:
        The file, and the name of the tensor that is its table, original or compressed.

    Raises:
        InputError: There is no such file.
        FormatError: It has no table or more than one, or is damaged.
    """
    file = map_tensors(path, _WHAT)
    known = [*TABLES, *map(compressed_name, TABLES)]
    found = [name for name in known if name in file.dtypes]
    if len(found) != 1:
        raise FormatError(
            f"{path} has {' and '.join(found) or 'no tensor that is a table'}; wanted one of "
            f"{', '.join(known)}"
        )
    return file, found[0]


def is_compressed(path: str | os.PathLike) -> bool:
    """Tells whether a static model's file has a compressed table; raises as ``open_static``."""
    return open_static(path)[1] not in TABLES


def from_int8(path: str | os.PathLike, tensor: str) -> np.ndarray | None:
    """Returns a table quantized by model2vec, float32 ``(N, D)``; None for any other.

    model2vec divides all numbers of a table by a factor before rounding them. It does not store
    the factor, because directions do not depend on it.
    """
    file = map_tensors(path, _WHAT)
    return file.tensors[tensor].astype(np.float32) if file.dtypes[tensor] == "I8" else None


def read_static(path: str | os.PathLike) -> StaticTable:
    """Opens the compressed table of a static model's file, memory-mapped.

    Raises:
        InputError: There is no such file, or its weights or mapping do not fit.
        FormatError: Its table is not compressed, or damaged.
    """
    file, name = open_static(path)
    if name in TABLES or file.dtypes[name] != "U8" or file.tensors[name].ndim != 1:
        raise FormatError(
            f"{path} has a table {name!r} that is not compressed; wanted a folder written by "
            "nncompress compress"
        )
    embedding = of_bytes(file.tensors[name], f"{path}, tensor {name!r}")
    embedding.extras |= beside_table(file, path)
    TokenRows(embedding)  # refuses weights or a mapping that do not fit
    before = name.removesuffix(SUFFIX) + "."
    trained = {
        own.removeprefix(before): array
        for own, array in file.tensors.items()
        if own.startswith(before) and own != name
    }
    return StaticTable(embedding, trained)


def write_static(path: str | os.PathLike, static: StaticTable, table: str) -> None:
    """Writes a file for ``read_static``.

    Args:
        path: The file.
        static: The table.
        table: The name of the tensor that it replaces.

    Raises:
        OutputError: The file cannot be written.
    """
    extras, name = static.embedding.extras, compressed_name(table)
    beside = {own: extras[own] for own in _BESIDE if own in extras}
    before = name.removesuffix(SUFFIX) + "."
    tensors = beside | {before + own: array for own, array in static.trained.items()}
    tensors = {own: np.ascontiguousarray(each) for own, each in tensors.items()}
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    write_tensors(path, ordered | {name: to_bytes(static.rows)}, {})
