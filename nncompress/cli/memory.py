"""Advice for each command when memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from nncompress.errors import InputError

_ADVICE = {
    "compress": "fewer rows (--limit), codebooks or codewords (-M, -K), or --threads need less",
    "train": "a smaller batch (--batchsize), fewer rows (--limit), codebooks or codewords "
    "(-M, -K) need less, and so does --matrix-dtype float16 on a GPU",
    "decode": "a smaller batch (--batchsize), fewer rows (--limit) or --threads need less",
    "quantize": "fewer rows (--limit), codebooks or codewords (-M, -K), or --threads need less",
    "export": "--to word2vec, glove and npy decode some rows at a time and need least",
}


@contextmanager
def advising(command: ModuleType) -> Iterator[None]:
    """Turns a lack of memory into a line that names the flags with which less is needed.

    Args:
        command: The module of the command that runs in the block.

    Raises:
        InputError: There is not enough memory, on the host or on a GPU.
    """
    try:
        yield
    except MemoryError as error:
        advice = _ADVICE.get(command.__name__.rpartition(".")[2], "it needs a machine with more")
        asked = str(error).rstrip(".") or "the system has none left"
        raise InputError(f"not enough memory: {asked}; {advice}") from None
