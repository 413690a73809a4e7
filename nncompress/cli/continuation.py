"""What an interrupted command says of how its work goes on."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nncompress.errors import Interrupted


@contextmanager
def continuable(keeps_work: bool) -> Iterator[None]:
    """Has an interruption say how the work goes on.

    Args:
        keeps_work: Whether the same command goes on where it was.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if not keeps_work:
            raise
        number = error.signal if isinstance(error, Interrupted) else signal.SIGINT
        command = shlex.join(["nncompress", *sys.argv[1:]])
        raise Interrupted(number, f"interrupted; continue with: {command}") from None
