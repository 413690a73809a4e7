"""Chainer for the other modules, which import ``chainer`` from here; see ``importing.py``."""

from types import ModuleType

from nncompress.chainer_support.importing import KNOWN_CHAINER, install, installed_version
from nncompress.missing import MissingLibraryError, install_line, missing_message


class UnsupportedChainerError(ImportError):
    """The installed Chainer is not the release that this project supports."""


def _check_version() -> None:
    version = installed_version()
    if version is None:
        raise MissingLibraryError(missing_message("Chainer", "train"), name="chainer")
    if version != KNOWN_CHAINER:
        raise UnsupportedChainerError(
            f"Chainer {version} is installed, but nncompress only supports {KNOWN_CHAINER}; "
            f"install that one: {install_line('train')}"
        )


_check_version()
install()
import chainer  # noqa: E402

__all__ = ["UnsupportedChainerError", "chainer", "import_chainermn"]


def import_chainermn() -> ModuleType:
    """Returns ChainerMN, which comes with Chainer; its communicators need mpi4py."""
    import chainermn

    return chainermn
