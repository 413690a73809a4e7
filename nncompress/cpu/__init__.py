"""The CPU's kernels: Numba code, run by a team of threads.

Numba compiles them on their first use, which takes about twenty seconds, and keeps the result in
the directory that ``cache`` chooses.
"""

from nncompress.missing import brought_by

with brought_by("compress"):
    import numba

from nncompress.cpu import cache, compilation

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
compilation.watch()

__all__ = [
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
