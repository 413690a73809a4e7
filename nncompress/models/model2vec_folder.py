"""Folders of static models: model2vec's, and sentence-transformers' with StaticEmbedding modules.

A model2vec folder is also a sentence-transformers folder, because model2vec writes a
``modules.json``. In both, the table is a tensor in ``model.safetensors``, and its tokens are in
the ``tokenizer.json`` beside it. ``modules.json`` names the class that reads the table, which has
to be another one once the table is compressed; ``config.json`` records the compression.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from nncompress.embedding.token_rows import MAPPING, WEIGHTS, check_mapping, check_weights
from nncompress.errors import FormatError, InputError
from nncompress.models.json_files import as_bytes, read_json
from nncompress.models.slots import TableSlot, compressed_name
from nncompress.models.static_file import MODEL2VEC, TABLES, open_static
from nncompress.models.transformers_folder import METHOD, QUANTIZATION
from nncompress.sources.hugging_face import FLOATS, read_tokenizer
from nncompress.sources.places import LocalPlace
from nncompress.sources.token_weights import beside_table

WEIGHTS_FILE, TOKENIZER_FILE = "model.safetensors", "tokenizer.json"
CONFIG, MODULES = Path("config.json"), Path("modules.json")
# The classes named in modules.json: that of sentence-transformers (whose path has changed between
# versions; all of them accept this one), and ours, in static_embedding.py.
PLAIN_TYPE = "sentence_transformers.models.StaticEmbedding"
COMPRESSED_TYPE = "nncompress.models.static_embedding.CompressedStaticEmbedding"
_PICKLE = "pytorch_model.bin"
# model2vec's own quantization scales all numbers by a factor that it does not store, because
# cosines do not depend on it.
_INTEGERS = ("I8",)
_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64"}


def recognizes(folder: Path) -> bool:
    """Tells whether a folder holds a static model, compressed or not."""
    return bool(_module_folders(folder)) or is_model2vec(folder)


def read(folder: Path) -> list[TableSlot]:
    """Returns the tables of a static model's folder, one for each StaticEmbedding module.

    Raises:
        InputError: A file is missing, the tokenizer has more tokens than the table, or the table
            is already compressed.
        FormatError: A file is damaged or of another kind.
    """
    return [_slot(folder, file.parent) for file in weight_files(folder)]


def weight_files(folder: Path) -> list[Path]:
    """Returns the files of a static model's tables, relative to its folder, compressed or not."""
    return [own / WEIGHTS_FILE for own in _module_folders(folder) or [Path()]]


def changed_files(folder: Path) -> dict[Path, bytes]:
    """Returns the new content of the files that say how to read the table, once it is compressed.

    Args:
        folder: The model's folder, whose tables are not compressed.

    Returns:
        The content of ``modules.json`` and, for a model2vec folder, of ``config.json``, if they
        exist, by their paths in the folder.

    Raises:
        FormatError: One of them is damaged.
    """
    changed = _with_types(folder, COMPRESSED_TYPE)
    if is_model2vec(folder):
        config = read_json(folder / CONFIG, dict)
        file, name = open_static(folder / WEIGHTS_FILE)
        # Rows are decoded to their original type, or to float32.
        config["embedding_dtype"] = _DTYPES.get(file.dtypes[name], "float32")
        config[QUANTIZATION] = {"quant_method": METHOD}
        changed[CONFIG] = as_bytes(config)
    return changed


def restored_files(folder: Path, dtype: str) -> dict[Path, bytes]:
    """Returns the content of the files of ``changed_files`` after the tables are decoded.

    Args:
        folder: The model's folder, whose tables are compressed.
        dtype: The NumPy name of the type that they are decoded to.

    Raises:
        FormatError: One of them is damaged.
    """
    changed = _with_types(folder, PLAIN_TYPE)
    if is_model2vec(folder):
        config = read_json(folder / CONFIG, dict)
        config.pop(QUANTIZATION, None)
        config["embedding_dtype"] = dtype
        changed[CONFIG] = as_bytes(config)
    return changed


def modules_of(folder: Path) -> list[dict[str, Any]]:
    """Returns the checked entries of modules.json; none if there is no such file.

    Raises:
        FormatError: The file has another form, or names a place outside the folder.
    """
    path = folder / MODULES
    if not path.is_file():
        return []
    entries = read_json(path, list)
    for entry in entries:
        own = entry if isinstance(entry, dict) else {}
        inside, class_path = own.get("path"), own.get("type")
        if not isinstance(inside, str) or not isinstance(class_path, str):
            raise FormatError(f"{path} has a module without a path or a type")
        parts = PurePosixPath(inside).parts
        if ".." in parts or "\\" in inside or PurePosixPath(inside).is_absolute():
            raise FormatError(
                f"{path} places a module in {inside[:99]!r}, outside its folder; wanted a folder "
                "inside it"
            )
    return entries


def is_static(class_path: str) -> bool:
    """Tells whether a class path in modules.json is a StaticEmbedding, compressed or not."""
    package, _, name = class_path.rpartition(".")
    ours = class_path == COMPRESSED_TYPE
    return ours or (package.startswith("sentence_transformers.") and name == "StaticEmbedding")


def is_model2vec(folder: Path) -> bool:
    """Tells whether a folder has model2vec's layout and its name for the table."""
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS_FILE).is_file():
        return False
    try:
        return open_static(folder / WEIGHTS_FILE)[1] in (MODEL2VEC, compressed_name(MODEL2VEC))
    except InputError:
        return False


def _module_folders(folder: Path) -> list[Path]:
    """Returns the folders of the StaticEmbedding modules listed in modules.json."""
    return [Path(entry["path"]) for entry in modules_of(folder) if is_static(entry["type"])]


def _with_types(folder: Path, class_path: str) -> dict[Path, bytes]:
    """Returns modules.json, if it exists, with another class for StaticEmbedding modules."""
    entries = modules_of(folder)
    changed = [
        entry | {"type": class_path} if is_static(entry["type"]) else entry for entry in entries
    ]
    return {MODULES: as_bytes(changed)} if entries else {}


def _slot(folder: Path, own: Path) -> TableSlot:
    weights, tokenizer = own / WEIGHTS_FILE, own / TOKENIZER_FILE
    if not (folder / weights).is_file() and (folder / own / _PICKLE).is_file():
        raise InputError(
            f"{folder / own / _PICKLE} is a pickle, which is not read because it can run code; "
            f"write {WEIGHTS_FILE} instead: SentenceTransformer({str(folder)!r}).save(NEW_FOLDER)"
        )
    for needed in (weights, tokenizer):
        if not (folder / needed).is_file():
            raise InputError(
                f"{folder / needed} does not exist; wanted a static model, which has "
                f"{WEIGHTS_FILE} and {TOKENIZER_FILE}"
            )
    file, tensor = open_static(folder / weights)
    if tensor not in TABLES:
        raise InputError(f"the table in {folder / weights} is already compressed, as {tensor!r}")
    dtype, matrix = file.dtypes[tensor], file.tensors.get(tensor)
    if matrix is None or matrix.ndim != 2 or dtype not in (*FLOATS, *_INTEGERS):
        shape = "" if matrix is None else f" and shape {matrix.shape}"
        raise InputError(
            f"{folder / weights}: tensor {tensor!r} has type {dtype}{shape}; wanted a matrix of "
            "numbers"
        )
    num_rows, dim = matrix.shape
    beside = beside_table(file, folder / weights)
    _check_tokens(folder / tokenizer, beside, num_rows)
    tokens = None if MAPPING in beside else tokenizer
    return TableSlot(weights, tensor, num_rows, dim, tokens, "embedding")


def _check_tokens(tokenizer: Path, beside: Mapping[str, np.ndarray], num_rows: int) -> None:
    """Refuses a tokenizer with more tokens than there are rows, or than a mapping covers."""
    known, what = num_rows, "rows"
    if MAPPING in beside:
        known, what = check_mapping(beside[MAPPING], num_rows), "tokens mapped to rows"
    if WEIGHTS in beside:
        check_weights(beside[WEIGHTS], known)
    num_tokens = len(read_tokenizer(LocalPlace(tokenizer)))
    if num_tokens > known:
        raise InputError(
            f"{tokenizer} has {num_tokens} tokens, but the table has {known} {what}; wanted the "
            "tokenizer that the table was made with"
        )
