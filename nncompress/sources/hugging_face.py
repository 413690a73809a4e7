"""Token embeddings in safetensors files and in Hugging Face folders.

A folder holds ``model.safetensors``, or several such files and a ``model.safetensors.index.json``
that says which tensor is in which; its tokens are in ``tokenizer.json`` or ``vocab.txt``.
"""

import json
import re
import warnings
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nncompress.errors import FormatError, InputError
from nncompress.formats.safetensors import Header, Tensor, map_tensors, read_header
from nncompress.sources.lines import shown
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.places import LocalPlace, Place, read_bytes
from nncompress.sources.vocabulary import read_lines

INDEX = ".safetensors.index.json"
SUFFIX = ".safetensors"
FLOATS = ("F16", "F32", "F64", "BF16", "F8_E4M3", "F8_E5M2")
_MOST_JSON_BYTES = 256 << 20
_MOST_NAME_CHARACTERS = 255  # file systems take no longer names and raise errors of their own
_WHAT = "a safetensors file"
# Endings of the names of token embeddings, the most specific first.
_NAMES = (
    *("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "tok_embeddings.weight"),
    *("shared.weight", "word_embedding.weight", "token_embedding.weight", "embed_in.weight"),
    *("embeddings.weight", "embedding.weight", "embeddings", "embedding"),
)


@dataclass(frozen=True)
class TensorPart:
    """A tensor, or a part of one that is stored in several parts.

    Attributes:
        place: Its file.
        name: Its name in it.
        tensor: Its entry in the file's header.
    """

    place: Place
    name: str
    tensor: Tensor

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"{self.place.name}, tensor {self.name!r}"


def is_safetensors(place: Place) -> bool:
    """Tells whether a name is that of a safetensors file or of an index of several."""
    return place.basename.endswith((SUFFIX, INDEX))


def find_tensor(place: Place, tensor: str | None = None) -> list[TensorPart]:
    """Finds an embedding matrix in a safetensors file, an index of several, or a folder.

    Args:
        place: The file or folder.
        tensor: The tensor's name; by default the only one of two dimensions, or the one named like
            token embeddings. A name with ``*`` (as in the shell) stands for all that match, as
            parts of one matrix in the order of the numbers in their names.

    Returns:
        The tensor's parts, usually only one.

    Raises:
        InputError: Something is missing, or the tensor has to be named.
        FormatError: A file is damaged.
    """
    if place.is_dir():
        place = _model_file(place)
    if place.basename.endswith(INDEX):
        places = _of_index(place)
        names = _named(place, tensor, list(places), list(places))
        found = [(places[name], name) for name in names]
    else:
        header = _header(place)
        matrices = [
            name
            for name, entry in header.tensors.items()
            if len(entry.shape) == 2 and entry.dtype in FLOATS
        ]
        found = [(place, name) for name in _named(place, tensor, list(header.tensors), matrices)]
    headers = {file.name: _header(file) for file, _ in found}
    return [_part(file, name, headers[file.name]) for file, name in found]


def open_tensor(
    path: Path, tensor: str | None = None, limit: int | None = None, unit_rows: bool = False
) -> EmbeddingMatrix:
    """Maps an embedding matrix of a safetensors file, an index of several, or a folder.

    Args:
        path: The file or folder.
        tensor: The tensor's name, as for ``find_tensor``; it must be in one part.
        limit: Number of leading rows to use; all by default.
        unit_rows: True to divide rows by their lengths.

    Raises:
        InputError: Something is missing, or the tensor has to be named.
        FormatError: A file is damaged.
    """
    (part,) = find_tensor(LocalPlace(path), tensor)
    return map_tensor(part, limit, unit_rows)


def map_tensor(part: TensorPart, limit: int | None, unit_rows: bool) -> EmbeddingMatrix:
    """Maps a tensor that is on this machine, in one part, and not of an 8-bit type."""
    array = map_tensors(part.place.name, _WHAT).tensors[part.name]
    return EmbeddingMatrix(array, part.title, limit, unit_rows, part.tensor.dtype == "BF16")


def find_tokens(place: Place) -> Place | None:
    """Returns the file with the tokens that go with a safetensors file or folder, if any."""
    near = place.child if place.is_dir() else place.beside
    candidates = (near(name) for name in ("tokenizer.json", "vocab.txt"))
    return next((file for file in candidates if file.is_file()), None)


def read_tokens(path: Path) -> list[str | None]:
    """Reads tokens in the order of their numbers.

    Args:
        path: ``tokenizer.json``, or a text file with one token a line.

    Returns:
        The token of each number; None for a number without one.

    Raises:
        InputError: The file is missing or of another kind.
    """
    if path.suffix != ".json":
        return list(read_lines(path))
    return read_tokenizer(LocalPlace(path))


def read_tokenizer(place: Place) -> list[str | None]:
    """Reads the tokens of a ``tokenizer.json`` in the order of their numbers.

    Returns:
        The token of each number; None for a number without one.

    Raises:
        InputError: The file is missing or of another kind.
    """
    read = _read_json(place)
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
            f"{place.name} is not a tokenizer of a known kind; wanted a vocabulary of tokens "
            "and their numbers under 'model'"
        ) from None


def _by_number(numbers: dict[str, int]) -> list[str | None]:
    if not all(type(n) is int and 0 <= n < 1 << 31 for n in numbers.values()):
        raise ValueError("token numbers")
    most = max(numbers.values(), default=-1)
    if most >= 64 * len(numbers) + 1_024:  # far more numbers than tokens: not a vocabulary
        raise ValueError("token numbers")
    tokens: list[str | None] = [None] * (most + 1)
    for token, number in numbers.items():
        tokens[number] = token
    return tokens


def _model_file(folder: Place) -> Place:
    """Returns the safetensors file, or the index of several, in a folder."""
    files, indices = folder.inside(f"*{SUFFIX}"), folder.inside(f"*{INDEX}")
    for choice in [*files, *indices]:
        if choice.basename in (f"model{SUFFIX}", f"model{INDEX}"):
            return choice
    if indices:
        return indices[0]
    if len(files) != 1:
        raise InputError(
            f"{folder.name} holds {len(files)} safetensors files and no model.safetensors; wanted "
            "a model's folder, or one file of it"
        )
    return files[0]


def _of_index(place: Place) -> dict[str, Place]:
    """Returns the file that holds each tensor of an index, by the tensor's name."""
    content = _read_json(place)
    files = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
        raise FormatError(f"{place.name} has no weight_map; wanted an index of safetensors files")
    for tensor, file in files.items():
        if not file.strip(".") or len(file) > _MOST_NAME_CHARACTERS or {*file} & {*"/\\\0"}:
            raise FormatError(
                f"{place.name} places {shown(tensor)} in {shown(file)}, outside its folder; "
                "wanted a file beside it"
            )
    beside = {file: place.beside(file) for file in set(files.values())}
    return {tensor: beside[file] for tensor, file in files.items()}


def _header(place: Place) -> Header:
    if not place.is_file():
        seen = "is a directory" if place.is_dir() else "does not exist"
        raise InputError(f"{place.name} {seen}; wanted {_WHAT}")
    return read_header(partial(read_bytes, place), place.num_bytes(), place.name, _WHAT)


def _part(place: Place, name: str, header: Header) -> TensorPart:
    if name not in header.tensors:
        raise InputError(
            f"{place.name} has no tensor {name!r}; wanted one of {_some(header.tensors)}"
        )
    part = TensorPart(place, name, header.tensors[name])
    if part.tensor.dtype not in FLOATS:
        raise InputError(
            f"{place.name}: tensor {name!r} has the type {part.tensor.dtype}; wanted one of "
            f"{', '.join(FLOATS)}"
        )
    scales = {f"{name}_scale", f"{name}_scale_inv", f"{name}.scale"} & header.tensors.keys()
    if scales:
        warnings.warn(
            f"{place.name} has scales for {name!r}, in {min(scales)!r}, and rows are read without "
            "them; unless they are all the same, multiply the rows by them first",
            stacklevel=2,
        )
    return part


def _named(place: Place, tensor: str | None, names: list[str], matrices: list[str]) -> list[str]:
    """Returns the names of a matrix's parts."""
    if tensor is None:
        return [_choose(place, matrices)]
    if tensor in names:
        return [tensor]
    found = [name for name in names if fnmatchcase(name, tensor)]
    if not found:
        raise InputError(f"{place.name} has no tensor {tensor!r}; wanted one of {_some(names)}")
    return sorted(found, key=_natural)


def _natural(name: str) -> list[tuple[str, int]]:
    """Returns a key that sorts names by the numbers in them."""
    pieces = re.split(r"([0-9]+)", name)
    return [(text, int(digits or 0)) for text, digits in zip_longest(pieces[::2], pieces[1::2])]


def _choose(place: Place, names: list[str]) -> str:
    """Returns the name of the token embeddings among names of tensors."""
    for ending in _NAMES:
        # "position_embeddings.weight" is not an "embeddings.weight".
        found = [name for name in names if name == ending or name.endswith("." + ending)]
        if len(found) == 1:
            return found[0]
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"{place.name} holds {_some(names) or 'no matrix of floating-point numbers'}; name the "
        "embedding with --tensor"
    )


def _some(names) -> str:
    names = list(names)
    return ", ".join(name[:99] for name in names[:12]) + (
        f", and {len(names) - 12} more" if len(names) > 12 else ""
    )


def _read_json(place: Place) -> object:
    if not place.is_file():
        seen = "is a directory" if place.is_dir() else "does not exist"
        raise InputError(f"{place.name} {seen}; wanted a JSON file")
    if (size := place.num_bytes()) > _MOST_JSON_BYTES:
        raise FormatError(f"{place.name} has {size} bytes; wanted a JSON file below 256 MiB")
    try:
        return json.loads(read_bytes(place, 0, size).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{place.name} is not JSON: {error}") from None
