"""Embedding matrices in safetensors files."""

import numpy as np

from nncompress.formats.safetensors import write_tensors
from nncompress.sources.hugging_face import open_tensor
from tests.reliability.fuzzing import Kind


def seeds(directory):
    random = np.random.default_rng(0)
    tensors = {
        "model.embed_tokens.weight": random.normal(size=(20, 6)).astype(np.float32),
        "half": random.normal(size=(2, 3, 4)).astype(np.float16),
    }
    write_tensors(directory / "two.safetensors", tensors, {"format": "pt"})
    write_tensors(directory / "one.safetensors", {"x": random.normal(size=(5, 3))}, {})
    return [directory / "two.safetensors", directory / "one.safetensors"]


def use(path):
    for _, rows in open_tensor(path).batches():
        rows.sum(dtype=np.float64)


KIND = Kind("safetensors", seeds, use)
