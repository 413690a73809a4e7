"""The model's file: parameters, centre and scale in an uncompressed ``.npz``."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from nncompress.autoencoder.chain import NOISE_CALLS, CompositionalAutoencoder, hidden_units
from nncompress.autoencoder.forms import autoencoder_for
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.files import atomic_path
from nncompress.formats.npz_writing import write_npz
from nncompress.machine import Machine

_PARAMETERS = ("l1/W", "l1/b", "l2/W", "l2/b", "codebook")


def save_model(
    path: str | os.PathLike,
    chain: CompositionalAutoencoder,
    beside: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> None:
    """Writes a chain's snapshot.

    Args:
        path: The file.
        chain: The autoencoder.
        beside: Arrays that the file has in place of the chain's, and others, which ``load_model``
            passes over.
    """
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(chain)
    serializer.target.pop(NOISE_CALLS, None)  # of a chain that goes on, not of the model
    with atomic_path(path) as temporary:
        write_npz(temporary, serializer.target | dict(beside))


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all arrays of an ``.npz`` file, and never unpickles.

    Raises:
        InputError: The file is missing or is no such archive.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; wanted a snapshot, iter_<n>.npz")
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise InputError(f"{path} is not a snapshot; wanted an .npz archive")
            with np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a snapshot: {error}") from None
    return arrays


def load_model(
    path: str | os.PathLike,
    num_codebooks: int,
    num_codewords: int,
    machine: Machine,
) -> CompositionalAutoencoder:
    """Reads a snapshot, also one of the 2018 Chainer port, which has no centre and scale.

    Args:
        path: The ``.npz`` file.
        num_codebooks: M, which the file cannot tell from K.
        num_codewords: K.
        machine: Where the chain is to compute.

    Returns:
        The chain, on the machine's device.

    Raises:
        InputError: The file is missing or is no snapshot of a model with this M and K.
    """
    path = Path(path)
    arrays = read_arrays(path)
    missing = [key for key in _PARAMETERS if key not in arrays]
    if missing:
        raise InputError(
            f"{path} is not a snapshot of this model: it lacks {', '.join(missing)}; "
            f"it has {', '.join(sorted(arrays)[:8])}"
        )
    dim = arrays["codebook"].shape[-1] if arrays["codebook"].ndim == 2 else 0
    num_units = num_codebooks * num_codewords
    num_hidden = hidden_units(num_codebooks, num_codewords)
    arrays.setdefault("centre", np.zeros(dim, np.float32))
    arrays.setdefault("scale", np.ones(()))
    wanted = {
        "l1/W": (num_hidden, dim),
        "l1/b": (num_hidden,),
        "l2/W": (num_units, num_hidden),
        "l2/b": (num_units,),
        "codebook": (num_units, dim),
        "centre": (dim,),
        "scale": (),
    }
    for key, shape in wanted.items():
        if arrays[key].shape != shape or arrays[key].dtype.kind != "f":
            raise InputError(
                f"{path}: {key} is {arrays[key].dtype} {arrays[key].shape}; wanted float "
                f"{shape} for M={num_codebooks} and K={num_codewords}"
            )
    # Encoding on a GPU needs none of its kernels, which are not tried for it.
    kind = autoencoder_for(machine) if machine.runtime is None else CompositionalAutoencoder
    chain = kind(dim, num_codebooks, num_codewords)
    chain.serialize(chainer.serializers.NpzDeserializer(arrays))
    chain.to_device(machine.device)
    return chain
