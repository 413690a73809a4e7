"""Folders of transformers models: their tables, and the entries for these in config.json.

The names of the modules come from the model's own class, instantiated without weights.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nncompress.errors import FormatError, InputError
from nncompress.formats.safetensors import Tensor, map_tensors
from nncompress.missing import brought_by
from nncompress.models.json_files import as_bytes, read_json
from nncompress.models.slots import TableSlot
from nncompress.models.table_facts import check_tables
from nncompress.models.tensors import header_of
from nncompress.sources.hugging_face import FLOATS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
METHOD = "nncompress"
QUANTIZATION = "quantization_config"
_TOKENS = ("tokenizer.json", "vocab.txt")
_PICKLE = "pytorch_model.bin"
_WEIGHT = ".weight"
_WHAT = "a model's safetensors file"
# A model with more layers than this has at least one tensor per layer.
_MOST_LAYERS = 1_000


@dataclass(frozen=True)
class Sketch:
    """The names of a model's layers, from its class.

    Attributes:
        prefix: The base model's prefix with a dot, which some files include and some leave out.
        embedding: The module of the input embeddings.
        shape: Their shape according to config.json, ``(N, D)``.
        head: The module of the output embeddings; None if there is none.
        tied: All weights that the model ties to the input embeddings, including these.
        tied_too: Other weights that are tied only as long as the output embeddings are.
        linear: The modules that multiply by a matrix, as output layers do.
    """

    prefix: str
    embedding: str
    shape: tuple[int, int]
    head: str | None
    tied: frozenset[str]
    tied_too: tuple[str, ...]
    linear: frozenset[str]


def recognizes(folder: Path) -> bool:
    """Tells whether a folder holds a transformers model."""
    path = folder / CONFIG
    return os.path.isfile(path) and "model_type" in read_json(path, dict)


def config_of(folder: Path) -> dict[str, Any]:
    """Returns the content of config.json."""
    config: dict[str, Any] = read_json(folder / CONFIG, dict)
    return config


def read(folder: Path, own: Path, heads: tuple[str, ...] = ()) -> list[TableSlot]:
    """Returns the tables of a transformers model.

    Args:
        folder: The folder to compress.
        own: The model's folder in it.
        heads: The tensors of additional output layers to compress.

    Returns:
        The input embeddings, and the output layers in ``heads``.

    Raises:
        InputError: A file is missing, a shape does not match config.json, or there is no such
            head.
        FormatError: A file is damaged.
        ImportError: transformers is not installed.
    """
    config = config_of(folder / own)
    if method := config.get(QUANTIZATION):
        name = method.get("quant_method") if isinstance(method, dict) else method
        raise InputError(
            f"{folder / own / CONFIG} says that the model is already quantized"
            f"{f', by {name!r:.99}' if name else ''}; wanted one that is not"
        )
    files = tensor_files(folder / own)
    sketch = _sketch(folder / own, len(files))
    slots = [_input_slot(folder, own, files, sketch)]
    for name in heads:
        slots.append(_head_slot(folder, own, files, name, slots[0], sketch))
    return slots


def tensor_files(folder: Path) -> dict[str, tuple[Path, Tensor]]:
    """Returns the file and the description of each tensor of a model, by the tensor's name.

    Raises:
        InputError: There are no safetensors files, or some are missing.
        FormatError: A file is damaged.
    """
    if (folder / INDEX).is_file():
        weight_map = read_json(folder / INDEX, dict).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise FormatError(f"{folder / INDEX} has no weight_map; wanted an index of files")
        names = sorted({str(name) for name in weight_map.values()})
        for name in names:
            if Path(name).name != name:
                raise FormatError(
                    f"{folder / INDEX} places tensors outside its folder, in {name!r}"
                )
            if not os.path.isfile(folder / name):  # or its name is too long for a file
                raise InputError(
                    f"{folder / name[:99]} is missing, one of the model's {len(names)} files"
                )
        found = {
            tensor: (Path(name), entry)
            for name in names
            for tensor, entry in header_of(folder / name).tensors.items()
        }
        lacking = sorted(weight_map.keys() - found.keys())
        if lacking:
            raise FormatError(f"no file has {lacking[0]!r}, which {folder / INDEX} lists")
        return found
    if not (folder / WEIGHTS).is_file():
        if (folder / _PICKLE).is_file():
            raise InputError(
                f"{folder / _PICKLE} is a pickle, which is not read because it can run code; "
                "convert it first: "
                f"AutoModel.from_pretrained({str(folder)!r}).save_pretrained(NEW_FOLDER)"
            )
        raise InputError(f"{folder} has no {WEIGHTS}; wanted a model's folder")
    header = header_of(folder / WEIGHTS)
    return {name: (Path(WEIGHTS), entry) for name, entry in header.tensors.items()}


def changed_files(
    folder: Path, own: Path, facts: Mapping[str, Mapping[str, Any]], untied: bool
) -> dict[Path, bytes]:
    """Returns the content of the new config.json.

    Args:
        folder: The folder to compress.
        own: The model's folder in it.
        facts: The entry of each table, by its module.
        untied: Whether the output layer no longer shares the input embeddings.
    """
    config = config_of(folder / own)
    config[QUANTIZATION] = {"quant_method": METHOD, "tables": dict(facts)}
    if untied:
        config["tie_word_embeddings"] = False
    return {own / CONFIG: as_bytes(config)}


def restored_files(folder: Path, own: Path) -> dict[Path, bytes]:
    """Returns the content of config.json after the tables are decoded."""
    config = config_of(folder / own)
    config.pop(QUANTIZATION)
    return {own / CONFIG: as_bytes(config)}


def compressed_tables(folder: Path, own: Path) -> dict[str, dict[str, Any]]:
    """Returns the entries of compressed tables in config.json; empty if there are none."""
    said = config_of(folder / own).get(QUANTIZATION)
    if not isinstance(said, dict) or said.get("quant_method") != METHOD:
        return {}
    return check_tables(said.get("tables"), str(folder / own / CONFIG))


def _sketch(folder: Path, num_tensors: int) -> Sketch:
    """Creates the model without weights, and looks for its layers."""
    from nncompress.models.installing import is_linear, scale_of

    model = _empty_model(folder, num_tensors)
    try:
        embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    except NotImplementedError:
        embedding, head = None, None
    modules = dict(model.named_modules())
    names = {module: name for name, module in modules.items()}
    if embedding not in names:
        raise InputError(
            f"{type(model).__name__} has no token embeddings; wanted a model that has them"
        )
    weight = names[embedding] + _WEIGHT
    tied = model.get_expanded_tied_weights_keys(all_submodels=True)
    source = tied.get(weight, weight)
    same = {key for key, value in tied.items() if value == source} | {source, weight}
    for key in sorted({key.removesuffix(_WEIGHT) for key in same} & modules.keys()):
        if not is_linear(modules[key]):
            scale_of(modules[key], key)
    prefix = f"{model.base_model_prefix}." if model.base_model_prefix else ""
    head_name = names.get(head)
    return Sketch(
        prefix,
        names[embedding],
        tuple(embedding.weight.shape),
        head_name,
        frozenset(same),
        tuple(sorted(tied.keys() - {weight, f"{head_name}{_WEIGHT}"})),
        frozenset(key for key, module in modules.items() if is_linear(module)),
    )


def _empty_model(folder: Path, num_tensors: int) -> "PreTrainedModel":
    """Creates the model that config.json describes, without weights.

    Raises:
        InputError: transformers cannot create it, or it has more layers than there are tensors.
    """
    with brought_by("hf"):
        import torch
        import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        num_layers = getattr(config.get_text_config(), "num_hidden_layers", 0)
        if num_layers > max(_MOST_LAYERS, num_tensors):
            raise InputError(
                f"{folder / CONFIG} declares {num_layers} layers, but the model has only "
                f"{num_tensors} tensors; wanted the files of one model"
            )
        name = (config.architectures or [""])[0]
        kind = getattr(transformers, name, None)
        is_model = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
        with torch.device("meta"):
            return kind(config) if is_model else transformers.AutoModel.from_config(config)
    except (InputError, ImportError, MemoryError):
        raise
    except Exception as error:  # a damaged description can raise anything
        raise InputError(
            f"transformers {transformers.__version__} cannot use {folder / CONFIG}: "
            f"{' '.join(str(error).split()):.300}"
        ) from None


def _in_file(name: str, files: Collection[str], prefix: str) -> str | None:
    """Returns the name of a tensor in a file; None if the file does not have it."""
    candidates = (name, prefix + name, name.removeprefix(prefix))
    return next((candidate for candidate in candidates if candidate in files), None)


def _input_slot(
    folder: Path, own: Path, files: Mapping[str, tuple[Path, Tensor]], sketch: Sketch
) -> TableSlot:
    weight = sketch.embedding + _WEIGHT
    found = _in_file(weight, files, sketch.prefix)
    others = {_in_file(name, files, sketch.prefix) for name in sketch.tied} - {None, found}
    if found is None and others:
        found = min(name for name in others if name is not None)
        others.discard(found)
    if found is None:
        raise InputError(f"{folder / own} has no tensor {weight!r}, the model's token embeddings")
    file, entry = files[found]
    _check(folder / own / file, found, entry)
    if entry.shape != sketch.shape:
        raise InputError(
            f"{folder / own / file}: tensor {found!r} has shape {entry.shape}, but according to "
            f"config.json its shape is {sketch.shape}"
        )
    head = None if sketch.head is None else sketch.head + _WEIGHT
    shares = head in sketch.tied
    same = []
    for name in sorted(name for name in others if name is not None):
        where = own / files[name][0]
        if _equal(folder / where, name, folder / own / file, found):
            same.append((where, name))
        elif name == head:
            shares = False  # transformers does not tie weights that differ
    tokens = next((own / name for name in _TOKENS if (folder / own / name).is_file()), None)
    return TableSlot(
        own / file, found, *sketch.shape, tokens, found.removesuffix(_WEIGHT),
        same=tuple(same), head=head if shares else None, tied_too=sketch.tied_too,
    )  # fmt: skip


def _head_slot(
    folder: Path,
    own: Path,
    files: Mapping[str, tuple[Path, Tensor]],
    name: str,
    first: TableSlot,
    sketch: Sketch,
) -> TableSlot:
    name = name if name in files else name.removesuffix(_WEIGHT) + _WEIGHT
    if name not in files:
        raise InputError(
            f"{folder / own} has no tensor {name!r}; wanted the output layer's tensor (leave out "
            "--head if it is tied to the embeddings: then both are compressed together)"
        )
    file, entry = files[name]
    _check(folder / own / file, name, entry)
    module = name.removesuffix(_WEIGHT)
    if entry.shape[1] < 2 or _in_file(module, sketch.linear, sketch.prefix) is None:
        raise InputError(f"tensor {name!r} of shape {entry.shape} is not that of an output layer")
    return TableSlot(own / file, name, *entry.shape, first.tokens, module, is_head=True)


def _check(path: Path, name: str, entry: Tensor) -> None:
    if entry.dtype not in FLOATS or len(entry.shape) != 2:
        raise InputError(
            f"{path}: tensor {name!r} has type {entry.dtype} and shape {entry.shape}; wanted a "
            f"matrix of type {', '.join(FLOATS)}"
        )


def _equal(one: Path, name: str, other: Path, other_name: str) -> bool:
    """Tells whether two tensors in files have the same type and content."""
    files = map_tensors(one, _WHAT), map_tensors(other, _WHAT)
    if files[0].dtypes[name] != files[1].dtypes[other_name]:
        return False
    return np.array_equal(files[0].tensors[name], files[1].tensors[other_name])


def changed_index(
    folder: Path, own: Path, left_out: Iterable[str], added: Mapping[str, str], more: int
) -> dict[Path, bytes]:
    """Returns the new index of a model that is split into several files; empty if it is not.

    Args:
        folder: The folder that is rewritten.
        own: The model's folder in it.
        left_out: The tensors that are removed.
        added: The file of each new tensor.
        more: The number of bytes by which the tensors grew.
    """
    path = folder / own / INDEX
    if not path.is_file():
        return {}
    index = read_json(path, dict)
    weight_map = {k: v for k, v in index["weight_map"].items() if k not in set(left_out)}
    index["weight_map"] = dict(sorted((weight_map | dict(added)).items()))
    metadata = index.get("metadata")
    if isinstance(metadata, dict) and isinstance(total := metadata.get("total_size"), int):
        metadata["total_size"] = total + more
    return {own / INDEX: as_bytes(index)}
