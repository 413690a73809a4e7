"""Compress embedding tables with deep compositional codes.

The public names are loaded on first use: importing ``nncompress`` loads neither Chainer nor CuPy.
"""

import importlib

from nncompress.version import __version__

_HOME = {
    "EmbeddingCompressor": "nncompress.compressor",
    "InputError": "nncompress.errors",
}

__all__ = ["EmbeddingCompressor", "InputError", "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'nncompress' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
