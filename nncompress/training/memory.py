"""A check of sizes against the machine's memory, before anything is allocated."""

from nncompress.autoencoder.size import num_parameters
from nncompress.errors import InputError
from nncompress.machine import total_memory

_COPIES = 4  # parameters, gradients, and two moments


def check_memory(dim: int, num_codebooks: int, num_codewords: int) -> None:
    """Refuses an autoencoder whose parameters alone do not fit in the machine's memory.

    Args:
        dim: D, the number of columns.
        num_codebooks: M.
        num_codewords: K.

    Raises:
        InputError: The autoencoder does not fit.
    """
    memory = total_memory()
    needed = 4 * _COPIES * num_parameters(dim, num_codebooks, num_codewords)
    if memory is not None and needed > memory:
        raise InputError(
            f"training M={num_codebooks} codebooks of K={num_codewords} codewords takes "
            f"{needed / 1e9:,.0f} GB, but the machine has {memory / 1e9:,.0f} GB; wanted a "
            "smaller M or K"
        )
