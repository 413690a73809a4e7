"""Telling how to continue the work of an interrupted command."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nncompress.errors import Interrupted


@contextmanager
def continuable(work: Path | None) -> Iterator[None]:
    """Adds to an interruption the command that continues the work.

    Args:
        work: The directory where the work is kept, which may not exist; None for none.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if work is None or not work.is_dir():
            raise
        number = error.signal if isinstance(error, Interrupted) else signal.SIGINT
        command = shlex.join(["nncompress", *sys.argv[1:]])
        raise Interrupted(number, f"interrupted; continue with: {command}") from None
