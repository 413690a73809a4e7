"""Turning a user's mistake into one line on stderr and exit status 2."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from nncompress.errors import InputError


def run(main: Callable[[], object], program: str | None = None) -> None:
    """Runs a command line and exits with its status.

    Args:
        main: The command. A user's mistake (``InputError``, ``ImportError``, ``OSError``) and a
            lack of memory end it with status 2 and one line; an interrupt with status 130.
            Warnings are a line each.
        program: What the lines begin with; by default the script's name.
    """
    program = program or Path(sys.argv[0]).name

    def show(message: Warning | str, *where: object, **more: object) -> None:
        print(f"{program}: warning: {' '.join(str(message).split())}", file=sys.stderr)

    warnings.showwarning = show
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # words that a terminal cannot show
    try:
        main()
    except (InputError, ImportError, OSError) as error:
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        print(f"{program}: error: not enough memory: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted", file=sys.stderr)
        sys.exit(130)
