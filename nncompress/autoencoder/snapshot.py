"""The model's file: parameters, centre and scale in an uncompressed ``.npz`` file."""

import os
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from nncompress.autoencoder.chain import NOISE_CALLS, CompositionalAutoencoder
from nncompress.autoencoder.forms import autoencoder_for
from nncompress.autoencoder.size import hidden_units
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.files import atomic_path
from nncompress.formats.npz import NpzFile
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
        beside: Arrays to write in place of the chain's, and further ones, which ``load_model``
            ignores.
    """
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(chain)
    serializer.target.pop(NOISE_CALLS, None)  # belongs to a chain in training, not to the model
    with atomic_path(path) as temporary:
        write_npz(temporary, serializer.target | dict(beside))


def load_model(
    path: str | os.PathLike,
    num_codebooks: int,
    num_codewords: int,
    machine: Machine,
) -> CompositionalAutoencoder:
    """Reads a snapshot, including those of the 2018 Chainer port, which have no centre and scale.

    Args:
        path: The ``.npz`` file.
        num_codebooks: M, as the file only gives the product of M and K.
        num_codewords: K.
        machine: The machine on which the chain will compute.

    Returns:
        The chain, on the machine's device.

    Raises:
        InputError: The file is missing or is not a snapshot of a model with this M and K.
    """
    arrays = read_parameters(path, num_codebooks, num_codewords)
    dim = arrays["codebook"].shape[1]
    # Encoding on a GPU needs none of the project's kernels, so they are not tried.
    kind = autoencoder_for(machine) if machine.runtime is None else CompositionalAutoencoder
    chain = kind(dim, num_codebooks, num_codewords)
    chain.serialize(chainer.serializers.NpzDeserializer(arrays))
    chain.to_device(machine.device)
    return chain


def read_parameters(
    path: str | os.PathLike, num_codebooks: int, num_codewords: int
) -> dict[str, np.ndarray]:
    """Reads the arrays of a snapshot by name; see ``load_model``.

    No numbers are read until the shapes of all arrays are known to match M and K.

    Returns:
        ``l1/W``, ``l1/b``, ``l2/W``, ``l2/b``, ``codebook``, ``centre`` and ``scale``.

    Raises:
        InputError: The file is missing or is not a snapshot of a model with this M and K.
    """
    num_units = num_codebooks * num_codewords
    num_hidden = hidden_units(num_codebooks, num_codewords)
    with NpzFile(path, "a snapshot, iter_<n>.npz") as file:
        missing = [name for name in _PARAMETERS if name not in file]
        if missing:
            raise InputError(
                f"{path} is not a snapshot of this model: it lacks {', '.join(missing)} "
                f"and has {', '.join(sorted(file)[:8])}"
            )
        codebook = file.header("codebook").shape
        dim = codebook[1] if len(codebook) == 2 else 0
        wanted = {
            "codebook": (num_units, dim),
            "l1/W": (num_hidden, dim),
            "l1/b": (num_hidden,),
            "l2/W": (num_units, num_hidden),
            "l2/b": (num_units,),
            "centre": (dim,),
            "scale": (),
        }
        present = [name for name in wanted if name in file]
        for name in present:
            header = file.header(name)
            if header.shape != wanted[name] or header.dtype.kind != "f":
                raise InputError(
                    f"{path}: {name} is {header.dtype} {header.shape}; wanted float "
                    f"{wanted[name]} for M={num_codebooks} and K={num_codewords}"
                )
        arrays = {name: file[name] for name in present}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"{path}: {name} has numbers that are not finite, so training has diverged; use "
                "an earlier snapshot, or train with a lower learning rate (--lr)"
            )
    arrays.setdefault("centre", np.zeros(dim, np.float32))
    arrays.setdefault("scale", np.ones(()))
    if not arrays["scale"] > 0:
        raise InputError(f"{path}: scale is {arrays['scale']}; wanted a positive number")
    return arrays
