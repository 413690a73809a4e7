"""Importing Chainer 7.8.1 on today's NumPy, CuPy and Python.

Chainer's last release (2022) has these problems with a current installation:

* ``chainer._environment_check`` imports ``numpy.distutils`` and ``pkg_resources``, which today's
  NumPy and setuptools have dropped, only to warn about versions. An empty module replaces it.
* ``functions/array/as_strided.py`` reads ``numpy.sctypes`` (gone in NumPy 2.0), on import and in
  its gradient. NumPy gets ``sctypes`` only while Chainer is being imported; afterwards that one
  module sees NumPy through a small view that adds the name.
* CuPy 14 has no cuDNN module. Chainer copes with that itself (``cuda.available`` stays true and
  ``cuda.cudnn_enabled`` is false); only its advice to reinstall CuPy is silenced.

One function stays broken: ``F.resize_images`` uses ``numpy.float`` (gone in NumPy 1.24) and
compares modules by identity, so it could only be fixed in NumPy itself.

Checked by running on Python 3.11 with NumPy 2.4, and by comparing each ``numpy`` name that Chainer
uses with what NumPy 1.26 to 2.5 offers.

``import nncompress`` puts a finder on ``sys.meta_path``, so that a plain ``import chainer`` works
after it. The finder loads nothing until Chainer is imported.
"""

import importlib.machinery
import sys
import types
import warnings
from collections.abc import Sequence

KNOWN_CHAINER = "7.8.1"


class ChainerFinder:
    """Finds Chainer's supported release where Python does, and imports it with what it lacks."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns Chainer's spec with a loader of this module, and None for any other module."""
        if name != "chainer" or installed_version() != KNOWN_CHAINER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _ChainerLoader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Puts a ``ChainerFinder`` before Python's own finders, once."""
    if not any(isinstance(finder, ChainerFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, ChainerFinder())


def installed_version() -> str | None:
    """Returns the installed version of Chainer, or None."""
    import importlib.metadata  # this takes longer to load than everything else in ``nncompress``

    try:
        return importlib.metadata.version("chainer")
    except importlib.metadata.PackageNotFoundError:
        return None


class _ChainerLoader(importlib.machinery.SourceFileLoader):
    """Executes Chainer's package while NumPy and the environment check look as it expects."""

    def exec_module(self, module: types.ModuleType) -> None:
        import numpy

        for name in list(sys.modules):  # leftovers of a failed import
            if name.startswith("chainer."):
                del sys.modules[name]
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
                super().exec_module(module)
        finally:
            if lacks_sctypes:
                del numpy.sctypes
        if lacks_sctypes:
            view = _NumPyView("numpy")
            view.sctypes = sctypes
            sys.modules["chainer.functions.array.as_strided"].np = view


class _NumPyView(types.ModuleType):
    """NumPy as ``as_strided`` sees it: every name NumPy has, and ``sctypes``."""

    def __getattr__(self, name: str) -> object:
        return getattr(sys.modules["numpy"], name)
