"""Compress embedding tables with deep compositional codes.

The public names are loaded on first use: importing ``nncompress`` loads no Chainer, CuPy or Numba.
After that, ``import chainer`` works on today's NumPy and Python; ``nncompress.chainer`` is the
same module.
"""

import importlib

from nncompress.chainer_support import importing
from nncompress.version import __version__

_HOME = {
    "CompositionalAutoencoder": "nncompress.autoencoder.chain",
    "CompressedEmbedding": "nncompress.embedding.compressed",
    "Diverged": "nncompress.errors",
    "EmbeddingCompressor": "nncompress.compressor",
    "FormatError": "nncompress.errors",
    "InputError": "nncompress.errors",
    "Machine": "nncompress.machine",
    "NotGoodEnough": "nncompress.errors",
    "TrainingOptions": "nncompress.training.settings",
    "chainer": "nncompress.chainer_support.compatibility",
    "compress": "nncompress.compressing",
    "compress_model": "nncompress.models.compressing",
    "encode_rows": "nncompress.jobs.encoding",
    "learn": "nncompress.training.session",
    "learn_model": "nncompress.jobs.learning",
    "merge": "nncompress.jobs.merging",
    "refine_model": "nncompress.jobs.refining",
}

__all__ = [
    "CompositionalAutoencoder",
    "CompressedEmbedding",
    "Diverged",
    "EmbeddingCompressor",
    "FormatError",
    "InputError",
    "Machine",
    "NotGoodEnough",
    "TrainingOptions",
    "__version__",
    "chainer",
    "compress",
    "compress_model",
    "encode_rows",
    "learn",
    "learn_model",
    "merge",
    "refine_model",
]

importing.install()


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'nncompress' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
