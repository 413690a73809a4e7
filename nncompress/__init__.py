"""Compress embedding tables with deep compositional codes.

The public names are loaded on first use: importing ``nncompress`` loads no Chainer, CuPy or Numba.
"""

import importlib

from nncompress.version import __version__

_HOME = {
    "CompressedEmbedding": "nncompress.embedding.compressed",
    "EmbeddingCompressor": "nncompress.compressor",
    "FormatError": "nncompress.errors",
    "InputError": "nncompress.errors",
    "compress": "nncompress.pipeline",
}

__all__ = [
    "CompressedEmbedding",
    "EmbeddingCompressor",
    "FormatError",
    "InputError",
    "__version__",
    "compress",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'nncompress' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
