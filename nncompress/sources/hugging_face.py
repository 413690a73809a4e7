"""Token embeddings in safetensors files and folders as Hugging Face has them.

A folder holds ``model.safetensors``, or several such files and ``model.safetensors.index.json``
that says which tensor is where; its tokens are in ``tokenizer.json`` or ``vocab.txt``.
"""

import json
from pathlib import Path
from typing import Any

from nncompress.errors import FormatError, InputError
from nncompress.formats.files import what_is
from nncompress.formats.safetensors import map_tensors
from nncompress.sources.lines import shown
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.vocabulary import read_lines

INDEX = ".safetensors.index.json"
_FLOATS = ("F16", "F32", "F64", "BF16")
_MOST_JSON_BYTES = 256 << 20
_MOST_NAME_CHARACTERS = 255  # what file systems take; more is an error of theirs
_WHAT = "a safetensors file"
# How the names of token embeddings end, the most telling first.
_NAMES = (
    *("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "tok_embeddings.weight"),
    *("shared.weight", "word_embedding.weight", "token_embedding.weight", "embed_in.weight"),
    *("embeddings.weight", "embedding.weight", "embeddings", "embedding"),
)


def open_tensor(
    path: Path, tensor: str | None = None, limit: int | None = None, unit_rows: bool = False
) -> EmbeddingMatrix:
    """Maps an embedding matrix of a safetensors file, an index of several, or a folder.

    Args:
        path: The file or folder.
        tensor: The tensor's name; by default the only one of two dimensions, or the one that is
            named as token embeddings are.
        limit: Number of leading rows to use; all by default.
        unit_rows: True to hand out rows divided by their lengths.

    Raises:
        InputError: Something is missing, or the tensor has to be named.
        FormatError: A file is damaged.
    """
    if path.is_dir():
        path = _model_file(path)
    if path.name.endswith(INDEX):
        path, tensor = _of_index(path, tensor)
    file = map_tensors(path, _WHAT)
    if tensor is None:
        shapes = {name: array.shape for name, array in file.tensors.items()}
        matrices = [
            name
            for name, shape in shapes.items()
            if len(shape) == 2 and file.dtypes[name] in _FLOATS
        ]
        tensor = _choose(path, matrices)
    if tensor not in file.dtypes:
        raise InputError(f"{path} has no tensor {tensor!r}; wanted one of {_some(file.dtypes)}")
    if file.dtypes[tensor] not in _FLOATS:
        raise InputError(
            f"{path}: tensor {tensor!r} has the type {file.dtypes[tensor]}; wanted one of "
            f"{', '.join(_FLOATS)}"
        )
    bfloat16 = file.dtypes[tensor] == "BF16"
    name = f"{path}, tensor {tensor!r}"
    return EmbeddingMatrix(file.tensors[tensor], name, limit, unit_rows, bfloat16)


def find_tokens(path: Path) -> Path | None:
    """Returns the file with the tokens that go with a safetensors file or folder, if any."""
    folder = path if path.is_dir() else path.parent
    candidates = (folder / name for name in ("tokenizer.json", "vocab.txt"))
    return next((path for path in candidates if path.is_file()), None)


def read_tokens(path: Path) -> list[str | None]:
    """Reads tokens by their numbers.

    Args:
        path: ``tokenizer.json``, or a text file with one token a line.

    Returns:
        The token of each number; None for a number without.

    Raises:
        InputError: The file is missing or of another kind.
    """
    if path.suffix != ".json":
        return list(read_lines(path))
    read = _read_json(path)
    content = read if isinstance(read, dict) else {}
    model = content.get("model")
    vocabulary: Any = model.get("vocab") if isinstance(model, dict) else None
    added = content.get("added_tokens") if model else None
    try:
        if isinstance(vocabulary, dict):
            numbers = dict(vocabulary)
        else:  # a list of pairs of token and score
            numbers = {token: number for number, (token, _) in enumerate(vocabulary)}
        numbers |= {entry["content"]: entry["id"] for entry in added or ()}
        return _by_number(numbers)
    except (TypeError, ValueError, KeyError):
        raise InputError(
            f"{path} is not a tokenizer of a kind that is known here; wanted a vocabulary of "
            "tokens and their numbers under 'model'"
        ) from None


def _by_number(numbers: dict[str, int]) -> list[str | None]:
    if not all(type(n) is int and 0 <= n < 1 << 31 for n in numbers.values()):
        raise ValueError("token numbers")
    most = max(numbers.values(), default=-1)
    if most >= 64 * len(numbers) + 1_024:  # far more numbers than tokens: no vocabulary
        raise ValueError("token numbers")
    tokens: list[str | None] = [None] * (most + 1)
    for token, number in numbers.items():
        tokens[number] = token
    return tokens


def _model_file(folder: Path) -> Path:
    """Returns the safetensors file, or the index of several, in a folder."""
    files = sorted(folder.glob("*.safetensors"))
    choices = [folder / "model.safetensors", folder / f"model{INDEX}", *folder.glob(f"*{INDEX}")]
    for choice in choices:
        if choice.is_file():
            return choice
    if len(files) != 1:
        raise InputError(
            f"{folder} holds {len(files)} safetensors files and no model.safetensors; wanted a "
            "model's folder, or one file of it"
        )
    return files[0]


def _of_index(path: Path, tensor: str | None) -> tuple[Path, str]:
    """Returns the file of an index that holds a tensor, and the tensor's name."""
    content = _read_json(path)
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise FormatError(f"{path} has no weight_map; wanted an index of safetensors files")
    if tensor is None:
        tensor = _choose(path, list(places))
    if tensor not in places:
        raise InputError(f"{path} has no tensor {tensor!r}; wanted one of {_some(places)}")
    file = path.parent / places[tensor]
    if file.parent != path.parent or len(file.name) > _MOST_NAME_CHARACTERS:
        raise FormatError(
            f"{path} places {shown(tensor)} in {shown(places[tensor])}, outside its folder; "
            "wanted a file beside it"
        )
    return file, tensor


def _choose(path: Path, names: list[str]) -> str:
    """Returns the name of the token embeddings among names of tensors."""
    for ending in _NAMES:
        # "position_embeddings.weight" is no "embeddings.weight".
        found = [name for name in names if name == ending or name.endswith("." + ending)]
        if len(found) == 1:
            return found[0]
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"{path} holds {_some(names) or 'no matrix of floating-point numbers'}; name the one that "
        "is the embedding with --tensor"
    )


def _some(names) -> str:
    names = list(names)
    return ", ".join(name[:99] for name in names[:12]) + (
        f", and {len(names) - 12} more" if len(names) > 12 else ""
    )


def _read_json(path: Path) -> object:
    if not path.is_file():
        raise InputError(f"{path} {what_is(path)}; wanted a JSON file")
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise FormatError(
            f"{path} has {path.stat().st_size} bytes; wanted a JSON file below 256 MiB"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {error}") from None
