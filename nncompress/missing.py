"""Libraries that the base install does not bring: the extra that does, and how to install it.

``pip install chainer-nncompress`` brings NumPy and tqdm alone. Any other library is imported
within ``with brought_by(extra):``, so that a user who lacks it reads what to type.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from nncompress.errors import InputError

# Chainer is published as source alone, and its setup.py imports pkg_resources, which today's
# setuptools no longer has. So an older setuptools is installed first, and Chainer is built with
# it rather than in the isolation in which pip and uv would use the newest.
_BEFORE_CHAINER = "pip install setuptools==80.9.0 && "
_WITH_CHAINER = frozenset(
    {"train", "gpu-cuda12", "gpu-cuda13", "matrix", "mpi", "bench", "tutorials", "dev"}
)
_DISTRIBUTION = "chainer-nncompress"


class MissingLibraryError(ModuleNotFoundError, InputError):
    """A library that is not installed: the message names the extra that brings it.

    Its ``name`` is the module's name, as in any ``ModuleNotFoundError``.
    """


def install_line(extra: str) -> str:
    """Returns the command that installs the package with an extra, whatever the version of pip.

    Args:
        extra: The name of the extra.
    """
    # In a clone that is not installed, the clone itself is installed.
    package = f'"{_DISTRIBUTION if _is_installed() else "."}[{extra}]"'
    if extra not in _WITH_CHAINER:
        return f"pip install {package}"
    return f"{_BEFORE_CHAINER}pip install --no-build-isolation {package}"


def missing_message(library: str, extra: str, purpose: str = "") -> str:
    """Returns the message that a library is not installed.

    Args:
        library: The name of the library.
        extra: The extra that brings it.
        purpose: What needs it; nothing by default.
    """
    seen = f"{purpose} needs {library}, which is" if purpose else f"{library} is"
    return f"{seen} not installed; the extra {extra!r} brings it: {install_line(extra)}"


def _is_installed() -> bool:
    from importlib.metadata import PackageNotFoundError, distribution  # which takes its time

    try:
        distribution(_DISTRIBUTION)
    except PackageNotFoundError:
        return False
    return True


@contextmanager
def brought_by(extra: str, purpose: str = "") -> Iterator[None]:
    """Tells the user which extra to install where the block imports a library that is missing.

    Args:
        extra: The extra that brings the libraries that the block imports.
        purpose: What needs them; nothing by default.

    Raises:
        MissingLibraryError: A library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or str(error)).partition(".")[0]
        if isinstance(error, MissingLibraryError) or library == __package__:
            raise
        message = missing_message(library, extra, purpose)
        raise MissingLibraryError(message, name=error.name) from None
