"""The disk space and memory that compressing a table needs, estimated from its sizes."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from nncompress.autoencoder.size import num_parameters
from nncompress.embedding.codes import code_dtype
from nncompress.embedding.packing import Packing, bits_for
from nncompress.formats.space import check_space
from nncompress.machine import Machine, free_memory
from nncompress.refinement.refine import RefinementSettings
from nncompress.refinement.room import no_room, refinement_bytes
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import SourceTable
from nncompress.trellis.stage import SAMPLE_ROWS

_LIBRARIES_BYTES = 200 << 20
_COPIES_OF_PARAMETERS = 10  # gradients, moments, transposed copies, and those in a snapshot
_WORD_OBJECT_BYTES = 150  # a string, its bytes, and its entries in lists and a dictionary
_CODING_BYTES = 256 << 20  # for rows that are being coded by a trellis
# The result should take less than this share of the vectors' bytes.
_WORTHWHILE = 0.8
_STATES = 3  # states of all rows on disk at once: two, and one that is being written


def codes_bytes(num_rows: int, dim: int, size: tuple[int, int]) -> int:
    """Returns the bytes of codes and codebook in a ``.nnc`` file, with the codebook in float16.

    Args:
        num_rows: N.
        dim: D.
        size: M and K.
    """
    num_codebooks, num_codewords = size
    row_bytes = Packing(num_codebooks, bits_for(num_codewords)).row_bytes
    return num_rows * row_bytes + 2 * num_codebooks * num_codewords * dim


def memory_bytes(
    num_rows: int, dim: int, size: tuple[int, int] | None, num_words: int, *, refined: bool
) -> int:
    """Estimates the most memory in use at once, in bytes, without the pages of mapped files.

    Args:
        num_rows: N.
        dim: D.
        size: M and K; None without additive codes.
        num_words: The number of words.
        refined: Whether codes are refined.
    """
    words = _WORD_OBJECT_BYTES * num_words
    if size is None:
        return _LIBRARIES_BYTES + words + _CODING_BYTES + 12 * dim * min(SAMPLE_ROWS, num_rows)
    num_codebooks, num_codewords = size
    memory = _LIBRARIES_BYTES + num_rows * (8 + 3 * num_codebooks)
    memory += 4 * _COPIES_OF_PARAMETERS * num_parameters(dim, *size)
    memory += words
    if refined:
        memory += refinement_bytes(num_rows, dim, num_codebooks * num_codewords)
    return memory


def check_needs(
    table: SourceTable,
    num_bytes: int,
    size: tuple[int, int] | None,
    *,
    refined: bool,
    output: Path | None,
    work: Path | None,
) -> None:
    """Refuses a job that does not fit on the disk; warns if it saves little or may lack memory.

    Args:
        table: The table.
        num_bytes: Bytes to be written for it, without words.
        size: M and K; None without additive codes.
        refined: Whether codes are refined.
        output: The ``.nnc`` file to be written; None for none.
        work: The work directory, if more will be kept in it; None for none.

    Raises:
        InputError: There is not enough room on a disk.
    """
    matrix, words = table.matrix, table.words
    num_rows, dim = matrix.shape
    needs = {}
    if output is not None:
        needs[output] = num_bytes + _words_bytes(words, num_rows)
    if work is not None and size is not None:
        needs[work] = _work_bytes(num_rows, dim, size, refined)
    check_space(
        needs,
        f"a table of {num_rows:,} rows",
        "choose another place for the output or for work files (--work)",
    )
    _warn_of_size(num_bytes, num_rows * matrix.row_bytes, size)
    memory = memory_bytes(num_rows, dim, size, len(words or ()), refined=refined)
    free = free_memory()
    if free is not None and memory > free:
        by, less = "", ""
        if size is not None:
            by, less = f" with M={size[0]} and K={size[1]}", "a smaller M or K (-M, -K) or "
        warnings.warn(
            f"compressing {num_rows:,} rows{by} takes about {memory:,} bytes of memory, but only "
            f"{free:,} are free; use {less}fewer rows (--limit)",
            stacklevel=3,
        )


def refines(
    recipe: str,
    matrix: EmbeddingMatrix,
    size: tuple[int, int],
    machine: Machine,
    refinement: RefinementSettings,
) -> bool:
    """Tells whether the codes of a recipe are refined by default.

    With the fast recipe they are, unless that would take more memory than is free, or more time
    than allowed, which a warning reports.

    Args:
        recipe: The recipe's name.
        matrix: The rows, ``(N, D)``.
        size: M and K.
        machine: The machine to compute on.
        refinement: The settings of refinement.
    """
    if recipe != "fast":
        return False
    reason = no_room(*matrix.shape, size[0] * size[1], machine, refinement.seconds)
    if reason is not None:
        warnings.warn(
            f"{reason}: codes and codebook are not refined after training; use a smaller M or K "
            "to have them refined",
            stacklevel=3,
        )
    return reason is None


def _warn_of_size(num_bytes: int, source_bytes: int, size: tuple[int, int] | None) -> None:
    if num_bytes <= _WORTHWHILE * source_bytes:
        return
    less = "a lower target" if size is None else "a smaller M or K (-M, -K), or neither"
    warnings.warn(
        f"the result will take about {num_bytes:,} bytes without its words, but the vectors take "
        f"only {source_bytes:,}; use {less}, or leave the table uncompressed",
        stacklevel=4,
    )


def _words_bytes(words: Sequence[str | None] | None, num_rows: int) -> int:
    """Estimates the bytes of a vocabulary, in which a word takes half a byte per character."""
    if words is None:
        return 0
    return sum(map(len, filter(None, words))) // 2 + len(words) * bits_for(num_rows) // 8


def _work_bytes(num_rows: int, dim: int, size: tuple[int, int], refined: bool) -> int:
    """Returns the bytes that a work directory takes, without a converted matrix."""
    num_codebooks, num_codewords = size
    num_units = num_codebooks * num_codewords
    codes = num_rows * num_codebooks * code_dtype(num_codewords).itemsize
    trainer = 32 * num_parameters(dim, *size)  # twice: parameters, two moments, and the best
    if not refined:
        return codes + trainer
    # Codebooks and the normal equations are in float64, and exist twice while being replaced.
    return max(trainer, _STATES * codes + 16 * num_units * (num_units + 2 * dim))
