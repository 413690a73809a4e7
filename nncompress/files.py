"""Writing files so that the final name only ever holds a complete file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` that takes its name when the block succeeds.

    Args:
        path: The final name. Missing parent directories are created.

    Yields:
        A path with the same suffix in the same directory. If the block raises, it is removed and
        whatever stood at ``path`` is untouched.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{final.name}.", suffix=final.suffix, dir=final.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes private files; ours are ordinary ones
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
