"""A check of sizes against the machine's memory, before anything is allocated."""

import os

from nncompress.errors import InputError

_COPIES = 4  # parameters, gradients, and two moments


def check_memory(dim: int, num_codebooks: int, num_codewords: int) -> None:
    """Refuses an autoencoder that does not fit into the machine's memory by its parameters alone.

    Args:
        dim: D, the number of columns.
        num_codebooks: M.
        num_codewords: K.

    Raises:
        InputError: It does not fit.
    """
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    units = num_codebooks * num_codewords
    hidden = max(1, units // 2)
    needed = 4 * _COPIES * (hidden * (dim + 1) + units * (hidden + 1) + units * dim)
    if needed > memory:
        raise InputError(
            f"training M={num_codebooks} codebooks of K={num_codewords} codewords takes "
            f"{needed / 1e9:,.0f} GB, and the machine has {memory / 1e9:,.0f} GB; wanted a "
            "smaller M or K"
        )
