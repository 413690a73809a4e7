"""Trainers' snapshots, as the deserializer reads them: scalars, text and arrays by name."""

import json

import numpy as np

from nncompress.formats.npz import NpzFile
from tests.reliability.fuzzing import Kind


def arrays():
    random = np.random.default_rng(0)
    return {
        "updater/iteration": np.asarray(120),
        "updater/optimizer:main/t": np.asarray(120),
        "updater/optimizer:main/codebook/m": random.normal(size=(20, 6)).astype(np.float32),
        "updater/iterator:main/order": random.permutation(30),
        "updater/iterator:main/is_new_epoch": np.asarray(False),
        "extensions/LogReport/_log": np.asarray(json.dumps([{"main/loss": 1.5}])),
        "empty": np.empty((0, 3)),
    }


def seeds(directory):
    np.savez(directory / "stored.npz", **arrays())
    np.savez_compressed(directory / "deflated.npz", **arrays())
    return [directory / "stored.npz", directory / "deflated.npz"]


def use(path):
    with NpzFile(path, "a trainer snapshot") as file:
        for name in file:
            array = file[name]
            assert array.shape == file.header(name).shape
            array[()]


KIND = Kind("trainer_npz", seeds, use)
