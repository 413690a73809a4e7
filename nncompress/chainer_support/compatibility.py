"""Chainer 7.8.1 on today's NumPy, CuPy and Python.

The only module that imports Chainer; the others take ``chainer`` from here. What stands between
Chainer's last release (2022) and a current installation is this:

* ``chainer._environment_check`` imports ``numpy.distutils`` and ``pkg_resources``, which today's
  NumPy and setuptools have dropped, only to warn about versions. An empty stand-in takes its
  place.
* ``functions/array/as_strided.py`` reads ``numpy.sctypes`` (gone in NumPy 2.0), on import and in
  its gradient. NumPy has ``sctypes`` while Chainer is being imported and not a moment longer;
  afterwards that one module sees NumPy through a small view that adds the name.
* CuPy 14 has no cuDNN module. Chainer notices by itself (``cuda.available`` stays true and
  ``cuda.cudnn_enabled`` is false); only its advice to reinstall CuPy is silenced.

One function stays broken: ``F.resize_images`` uses ``numpy.float`` (gone in NumPy 1.24) and
compares modules by identity, so that it has no place to mend but NumPy itself.

Checked by running on Python 3.11 with NumPy 2.4, and by comparing each ``numpy`` name that Chainer
uses with what NumPy 1.26 to 2.5 offers.
"""

import importlib.metadata
import sys
import types
import warnings

import numpy

_KNOWN_CHAINER = "7.8.1"


class UnsupportedChainerError(ImportError):
    """The installed Chainer is missing or is not the release this module knows."""


class _NumPyView(types.ModuleType):
    """NumPy as ``as_strided`` sees it: every name NumPy has, and ``sctypes``."""

    def __init__(self, sctypes: dict[str, list[type]]) -> None:
        super().__init__("numpy")
        self.sctypes = sctypes

    def __getattr__(self, name: str) -> object:
        return getattr(numpy, name)


def _check_version() -> None:
    try:
        version = importlib.metadata.version("chainer")
    except importlib.metadata.PackageNotFoundError:
        raise UnsupportedChainerError(
            f"Chainer is not installed; training needs chainer=={_KNOWN_CHAINER}, and the README "
            "says how to install it"
        ) from None
    if version != _KNOWN_CHAINER:
        raise UnsupportedChainerError(
            f"Chainer {version} is installed, and nncompress knows Chainer {_KNOWN_CHAINER} only; "
            f"install chainer=={_KNOWN_CHAINER}"
        )


def _import_chainer() -> types.ModuleType:
    _check_version()
    if "chainer" in sys.modules:  # somebody imported it, on a NumPy old enough to allow that
        return sys.modules["chainer"]

    environment_check = types.ModuleType("chainer._environment_check")
    environment_check.check = lambda: None
    sys.modules["chainer._environment_check"] = environment_check

    sctypes = {
        "int": [numpy.int8, numpy.int16, numpy.int32, numpy.int64],
        "float": [numpy.float16, numpy.float32, numpy.float64],
    }
    lacks_sctypes = not hasattr(numpy, "sctypes")
    if lacks_sctypes:
        numpy.sctypes = sctypes
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="cuDNN is not enabled")
            warnings.filterwarnings("ignore", message=r"\s*nccl library could not be loaded")
            import chainer
    finally:
        if lacks_sctypes:
            del numpy.sctypes

    if lacks_sctypes:
        sys.modules["chainer.functions.array.as_strided"].np = _NumPyView(sctypes)
    return chainer


chainer = _import_chainer()
