"""Lines about what a command did to make room for its outputs."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nncompress.cli.printing import format_bytes


@contextmanager
def telling_of_outputs(arguments: argparse.Namespace, program: str) -> Iterator[None]:
    """Says which directories the block makes for outputs, and which files it replaces.

    Where the block fails, the directories are removed.

    Args:
        arguments: The command line, which names its outputs under ``outputs``.
        program: The name that the lines begin with.
    """
    values = (getattr(arguments, name) for name in getattr(arguments, "outputs", ()))
    paths = [path for path in dict.fromkeys(values) if isinstance(path, Path)]
    missing = {
        parent: [each for each in (parent, *parent.parents) if not each.exists()]
        for parent in dict.fromkeys(path.parent for path in paths)
    }
    existing = {path: path.stat() for path in paths if os.path.isfile(path)}
    try:
        yield
    except BaseException:
        for directories in missing.values():
            for directory in directories:
                with suppress(OSError):  # it is not empty, or was never made
                    directory.rmdir()
        raise
    for parent, directories in missing.items():
        if directories and parent.is_dir():
            print(f"{program}: made the directory {parent}{os.sep}", file=sys.stderr)
    for path, before in existing.items():
        if os.path.isfile(path) and not os.path.samestat(path.stat(), before):
            size = format_bytes(before.st_size)
            print(f"{program}: replaced {path} ({size})", file=sys.stderr)
