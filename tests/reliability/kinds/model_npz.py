"""Snapshots of a model."""

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.snapshot import load_model, save_model
from nncompress.machine import Machine
from tests.reliability.fuzzing import Kind

CPU = Machine()


def seeds(directory):
    chain = CompositionalAutoencoder(6, 4, 5, seed=3)
    save_model(directory / "stored.npz", chain)
    with np.load(directory / "stored.npz") as arrays:
        np.savez_compressed(directory / "deflated.npz", **arrays)
    return [directory / "stored.npz", directory / "deflated.npz"]


def use(path):
    load_model(path, 4, 5, CPU)


KIND = Kind("model_npz", seeds, use)
