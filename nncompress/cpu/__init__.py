"""The CPU's kernels: Numba code, run by a team of threads.

Numba compiles them on their first use, which takes about twenty seconds, and keeps the result in
the directory that ``cache`` chooses.
"""

import sys
from pathlib import Path

from nncompress.missing import brought_by

with brought_by("compress"):
    import numba

from nncompress.cpu import cache
from nncompress.progress import say

_configured = numba.config.CACHE_DIR
numba.config.CACHE_DIR = cache.DIRECTORY
try:
    from nncompress.cpu import (
        beam,
        block_rows,
        chosen_rows,
        icm,
        level_counts,
        lookup,
        projected_signs,
        pursuit,
        rans,
        run,
        shared_blocks,
        sparse_rows,
        step,
        tally,
        trellis,
    )
finally:
    numba.config.CACHE_DIR = _configured

__all__ = [
    "announce_compilation",
    "beam",
    "block_rows",
    "chosen_rows",
    "icm",
    "level_counts",
    "lookup",
    "projected_signs",
    "pursuit",
    "rans",
    "run",
    "shared_blocks",
    "sparse_rows",
    "step",
    "tally",
    "trellis",
]


def announce_compilation() -> None:
    """Tells the user about the delay if kernels have to be compiled and kept."""
    if cache.DIRECTORY and not any(Path(cache.DIRECTORY).rglob("*.nbi")):
        say("Compiling kernels for their first use (about twenty seconds, once)", file=sys.stderr)
