"""Chainer for the other modules, which take ``chainer`` from here; see ``importing.py``."""

from types import ModuleType

from nncompress.chainer_support.importing import KNOWN_CHAINER, install, installed_version


class UnsupportedChainerError(ImportError):
    """The installed Chainer is missing or is not the release this project knows."""


def _check_version() -> None:
    version = installed_version()
    if version is None:
        raise UnsupportedChainerError(
            f"Chainer is not installed; training needs chainer=={KNOWN_CHAINER}, and the README "
            "says how to install it"
        )
    if version != KNOWN_CHAINER:
        raise UnsupportedChainerError(
            f"Chainer {version} is installed, and nncompress knows Chainer {KNOWN_CHAINER} only; "
            f"install chainer=={KNOWN_CHAINER}"
        )


_check_version()
install()
import chainer  # noqa: E402

__all__ = ["UnsupportedChainerError", "chainer", "import_chainermn"]


def import_chainermn() -> ModuleType:
    """Returns ChainerMN, which comes with Chainer; its communicators need mpi4py."""
    import chainermn

    return chainermn
