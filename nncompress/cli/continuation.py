"""What an interrupted command says of how its work goes on."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nncompress.errors import Interrupted


@contextmanager
def continuable(work: Path | None) -> Iterator[None]:
    """Has an interruption say how the work goes on.

    Args:
        work: The directory in which it is kept, if there is something to keep; None for none.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if work is None or not work.is_dir():
            raise
        number = error.signal if isinstance(error, Interrupted) else signal.SIGINT
        command = shlex.join(["nncompress", *sys.argv[1:]])
        raise Interrupted(number, f"interrupted; continue with: {command}") from None
