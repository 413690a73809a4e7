"""What compressing a table needs of disk and memory, told from its sizes alone."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from nncompress.autoencoder.chain import num_parameters
from nncompress.embedding.codes import code_dtype
from nncompress.embedding.packing import Packing, bits_for
from nncompress.formats.space import check_space
from nncompress.machine import free_memory
from nncompress.refinement.room import refinement_bytes

_LIBRARIES_BYTES = 200 << 20
_COPIES_OF_PARAMETERS = 10  # gradients, moments, transposed ones, and those of a snapshot
_WORD_OBJECT_BYTES = 150  # a string, its bytes, and places in lists and a dictionary
_STATES = 3  # of all rows that are kept at once: two, and one that is being written


def table_bytes(num_rows: int, dim: int, size: tuple[int, int]) -> int:
    """Returns the bytes of codes and codebook in a ``.nnc`` file, the codebook in float16.

    Args:
        num_rows: N.
        dim: D.
        size: M and K.
    """
    num_codebooks, num_codewords = size
    row_bytes = Packing(num_codebooks, bits_for(num_codewords)).row_bytes
    return num_rows * row_bytes + 2 * num_codebooks * num_codewords * dim


def memory_bytes(
    num_rows: int, dim: int, size: tuple[int, int], num_words: int, *, refined: bool
) -> int:
    """Returns about the most memory in use at once, without the pages of mapped files.

    Args:
        num_rows: N.
        dim: D.
        size: M and K.
        num_words: The number of words.
        refined: Whether codes are refined.
    """
    num_codebooks, num_codewords = size
    memory = _LIBRARIES_BYTES + num_rows * (8 + 3 * num_codebooks)
    memory += 4 * _COPIES_OF_PARAMETERS * num_parameters(dim, *size)
    memory += _WORD_OBJECT_BYTES * num_words
    if refined:
        memory += refinement_bytes(num_rows, dim, num_codebooks * num_codewords)
    return memory


def check_needs(
    shape: tuple[int, int],
    size: tuple[int, int],
    words: Sequence[str | None] | None,
    *,
    refined: bool,
    output: Path | None,
    work: Path | None,
) -> None:
    """Refuses what does not fit on the disk, and warns of what may not fit into memory.

    Args:
        shape: N and D.
        size: M and K.
        words: The words; None for none.
        refined: Whether codes are refined.
        output: The ``.nnc`` file to be written; None for none.
        work: The work directory; None for none.

    Raises:
        InputError: There is not enough room on a disk.
    """
    needs = {}
    if output is not None:
        needs[output] = table_bytes(*shape, size) + _words_bytes(words, shape[0])
    if work is not None:
        needs[work] = _work_bytes(*shape, size, refined)
    check_space(
        needs,
        f"a table of {shape[0]:,} rows",
        "name another place for the output or for work files (--work)",
    )
    memory = memory_bytes(*shape, size, len(words or ()), refined=refined)
    free = free_memory()
    if free is not None and memory > free:
        warnings.warn(
            f"compressing {shape[0]:,} rows with M={size[0]} and K={size[1]} takes about "
            f"{memory:,} bytes of memory, and {free:,} are free; a smaller M or K (-M, -K) or "
            "fewer rows (--limit) take less",
            stacklevel=3,
        )


def _words_bytes(words: Sequence[str | None] | None, num_rows: int) -> int:
    """Returns about the bytes of a vocabulary, in which words take half of their characters."""
    if words is None:
        return 0
    return sum(map(len, filter(None, words))) // 2 + len(words) * bits_for(num_rows) // 8


def _work_bytes(num_rows: int, dim: int, size: tuple[int, int], refined: bool) -> int:
    """Returns the bytes that a work directory comes to, without a converted matrix."""
    num_codebooks, num_codewords = size
    num_units = num_codebooks * num_codewords
    codes = num_rows * num_codebooks * code_dtype(num_codewords).itemsize
    trainer = 32 * num_parameters(dim, *size)  # twice: parameters, two moments, and the best
    if not refined:
        return codes + trainer
    # Codebooks and the normal equations are in float64, the latter twice where they are replaced.
    return max(trainer, _STATES * codes + 16 * num_units * (num_units + 2 * dim))
