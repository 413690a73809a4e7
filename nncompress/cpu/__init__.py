"""The CPU's kernels: Numba code, run by a team of threads.

Numba compiles them on their first use, which takes some ten seconds, and keeps the result. It
looks for changes in the file of the outermost function alone, so that the others' changes would
go unnoticed: the results are kept in a directory named after the contents of all files here.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import numba


def _cache_directory() -> str:
    """Returns a writable directory for compiled kernels; empty for Numba's own choice."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.glob("*.py")):
        digest.update(path.read_bytes())
    for base in (numba.config.CACHE_DIR, here / "__pycache__", Path.home() / ".cache"):
        if not base:
            continue
        ours = Path(base) / "nncompress-kernels"
        directory = ours / digest.hexdigest()[:16]
        try:
            if not directory.exists():  # what is there was made from other files
                shutil.rmtree(ours, ignore_errors=True)
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(directory, os.W_OK):
            return str(directory)
    return ""


_configured = numba.config.CACHE_DIR
_directory = numba.config.CACHE_DIR = _cache_directory()
try:
    from nncompress.cpu import beam, icm, lookup, run, step, tally
finally:
    numba.config.CACHE_DIR = _configured

__all__ = ["announce_compilation", "beam", "icm", "lookup", "run", "step", "tally"]


def announce_compilation() -> None:
    """Tells the user why nothing happens for a while, if kernels have to be compiled."""
    if not any(Path(_directory).rglob("*.nbi")):
        print("Compiling kernels for their first use (some ten seconds, once)", file=sys.stderr)
