"""The model's file: parameters, centre and scale in an uncompressed ``.npz``."""

import os
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from nncompress.autoencoder.chain import NOISE_CALLS, CompositionalAutoencoder, hidden_units
from nncompress.autoencoder.forms import autoencoder_for
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
        beside: Arrays that the file has in place of the chain's, and others, which ``load_model``
            passes over.
    """
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(chain)
    serializer.target.pop(NOISE_CALLS, None)  # of a chain that goes on, not of the model
    with atomic_path(path) as temporary:
        write_npz(temporary, serializer.target | dict(beside))


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
    arrays = read_parameters(path, num_codebooks, num_codewords)
    dim = arrays["codebook"].shape[1]
    # Encoding on a GPU needs none of its kernels, which are not tried for it.
    kind = autoencoder_for(machine) if machine.runtime is None else CompositionalAutoencoder
    chain = kind(dim, num_codebooks, num_codewords)
    chain.serialize(chainer.serializers.NpzDeserializer(arrays))
    chain.to_device(machine.device)
    return chain


def read_parameters(
    path: str | os.PathLike, num_codebooks: int, num_codewords: int
) -> dict[str, np.ndarray]:
    """Reads the arrays of a snapshot by name; see ``load_model``.

    No numbers are read before the shapes of all are found to fit M and K.

    Returns:
        ``l1/W``, ``l1/b``, ``l2/W``, ``l2/b``, ``codebook``, ``centre`` and ``scale``.

    Raises:
        InputError: The file is missing or is no snapshot of a model with this M and K.
    """
    num_units = num_codebooks * num_codewords
    num_hidden = hidden_units(num_codebooks, num_codewords)
    with NpzFile(path, "a snapshot, iter_<n>.npz") as file:
        missing = [name for name in _PARAMETERS if name not in file]
        if missing:
            raise InputError(
                f"{path} is not a snapshot of this model: it lacks {', '.join(missing)}; "
                f"it has {', '.join(sorted(file)[:8])}"
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
                f"{path}: {name} has numbers that are not finite, as training that has diverged "
                "leaves them; wanted another snapshot, or train with a lower learning rate (--lr)"
            )
    arrays.setdefault("centre", np.zeros(dim, np.float32))
    arrays.setdefault("scale", np.ones(()))
    if not arrays["scale"] > 0:
        raise InputError(f"{path}: scale is {arrays['scale']}; wanted a positive number")
    return arrays
