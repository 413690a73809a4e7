"""The arrays that model2vec keeps beside a static model's table: token weights and row mapping."""

import os

import numpy as np

from nncompress.errors import FormatError, InputError
from nncompress.formats.safetensors import TensorFile, map_tensors
from nncompress.sources.hugging_face import find_tensor
from nncompress.sources.open_rows import is_model
from nncompress.sources.places import LocalPlace, place_of

TABLE, WEIGHTS, MAPPING = "embeddings", "weights", "mapping"


def beside_table(file: TensorFile, path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the weights and the mapping that a file has; either may be missing.

    Raises:
        FormatError: One is of a type that model2vec does not read either.
    """
    found = {name: file.dtypes[name] for name in (MAPPING, WEIGHTS) if name in file.dtypes}
    for name, dtype in found.items():
        if name not in file.tensors or dtype == "BF16":
            raise FormatError(f"{path} has {name!r} in {dtype}; wanted a type that NumPy has")
    return {name: file.tensors[name] for name in found}


def token_weights(source: object, tensor: str | None) -> np.ndarray | None:
    """Returns the weights of a static model's tokens, ``(N,)``; None if there are none.

    Args:
        source: Anything that ``open_table`` takes; only model2vec's folders and files on this
            machine have weights.
        tensor: The tensor's name that was given with it.

    Raises:
        InputError: The model maps tokens to rows, a mapping that only a folder can keep.
        FormatError: The file is damaged, or the weights are of another type.
    """
    if not isinstance(source, (str, os.PathLike)):
        return None
    place = place_of(source)
    if not isinstance(place, LocalPlace) or not is_model(place):
        return None
    part = find_tensor(place, tensor)[0]
    if part.name != TABLE:
        return None
    beside = beside_table(map_tensors(part.place.name, "a safetensors file"), part.place.name)
    if MAPPING in beside:
        raise InputError(
            f"{part.place.name} has a mapping of tokens to rows, which a single file cannot "
            "keep; compress the model's folder to a folder (a name that does not end in .nnc)"
        )
    weights = beside.get(WEIGHTS)
    return weights if weights is not None and weights.shape == part.tensor.shape[:1] else None
