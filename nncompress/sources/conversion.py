"""Converting tables to ``.npy`` files, which are then mapped or read by ranges."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nncompress.errors import InputError, OutputError
from nncompress.formats.npy import BLOCK_BYTES, Rows, write_npy
from nncompress.formats.space import check_space
from nncompress.sources.foreign import START_BYTES, problem_of
from nncompress.sources.normalization import Statistics
from nncompress.sources.row_checks import SMALLEST_NORMAL, magnitudes_of
from nncompress.sources.row_source import RowSource
from nncompress.sources.streams import COMPRESSED, locate, open_stream
from nncompress.sources.text_vectors import read_text
from nncompress.sources.word2vec_binary import is_word2vec_binary, read_word2vec_binary

_ANOTHER_PLACE = "name another place for temporary files (TMPDIR) or for work files (--work)"


def refuse_by_name(path: Path) -> None:
    """Refuses files whose names show that they are not tables in text.

    Raises:
        InputError: The file is a compressed table, or a part of one.
    """
    if path.suffix == ".codes" or path.name.endswith(".codebook.npy"):
        what = "codes" if path.suffix == ".codes" else "the codebook"
        raise InputError(
            f"{path} is, by its name, {what} of a table that is already compressed; wanted the "
            "original table (to turn codes and a codebook into a .nnc file: nncompress import)"
        )


def text_blocks(path: Path) -> Rows:
    """Reads a table in text or word2vec's binary format, block by block.

    Raises:
        InputError: The file is missing, or known to be something else.
    """
    locate(path)
    refuse_others(path)
    return (read_word2vec_binary if is_word2vec_binary(path) else read_text)(path)


def write_matrix(
    blocks: Rows, place: Path, write_words: Callable[[bytes], object]
) -> dict[str, np.ndarray]:
    """Writes a ``.npy`` file.

    Args:
        blocks: Tokens and rows, block by block.
        place: The file.
        write_words: Called with the tokens of each block, as bytes with a line break after each.

    Returns:
        Statistics of the columns; empty if the rows will be refused.
    """
    columns = _Columns()
    write_npy(place, columns.watch(blocks), write_words)
    return columns.statistics.arrays if columns.usable and columns.statistics else {}


def blocks_of(rows: RowSource) -> Rows:
    """Yields rows block by block, without tokens."""
    step = max(1, BLOCK_BYTES // (4 * rows.dim))
    for first in range(0, rows.num_rows, step):
        block = rows.read(first, min(first + step, rows.num_rows))
        yield [b""] * len(block), block


@contextmanager
def naming(place: Path) -> Iterator[None]:
    """Turns an error while writing a temporary file into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, place, os.fspath(place)):
            raise
        raise OutputError(
            f"{place} cannot be written: {error.strerror}; wanted room for the converted matrix, "
            "so name another place for temporary files (TMPDIR) or for work files (--work)",
            error.errno,
        ) from error


def check_room(num_bytes: int, name: str, directory: Path) -> None:
    """Refuses a conversion that the disk has no room for.

    Args:
        num_bytes: The bytes that the converted matrix takes.
        name: The table's name in messages.
        directory: The directory to write it to.

    Raises:
        InputError: There is not enough room.
    """
    check_space({directory: num_bytes}, f"the matrix of {name}", _ANOTHER_PLACE)


def converted_bytes(path: Path) -> int:
    """Estimates the size of a text table in float32, in bytes; 0 if it cannot be told."""
    file, member = locate(path)
    size = file.stat().st_size
    if member is not None or file.suffix in COMPRESSED:
        return 0
    if is_word2vec_binary(path):
        return size
    with open_stream(path) as stream:
        text = stream.read(1 << 16)
    lines = text.splitlines()[1:-1] or [text]  # the first may be a header, the last is cut
    return (
        4 * size * sum(line.count(b" ") for line in lines) // (sum(map(len, lines)) + len(lines))
    )


def refuse_others(path: Path) -> None:
    """Refuses files that are known not to be text."""
    with open_stream(path) as stream:
        start = stream.read(START_BYTES)
    if problem := problem_of(path, start):
        raise InputError(f"{path} {problem}")
    if path.suffix == ".nnc":
        raise InputError(f"{path} is already a compressed embedding; wanted the original table")


class _Columns:
    """Measures the columns of the rows that pass through."""

    def __init__(self) -> None:
        self.statistics: Statistics | None = None
        self.usable = True

    def watch(self, rows: Rows) -> Rows:
        for tokens, values in rows:
            if self.statistics is None:
                self.statistics = Statistics(values.shape[1])
            magnitudes = magnitudes_of(values)
            good = (magnitudes == 0) | (magnitudes >= SMALLEST_NORMAL) & (magnitudes < np.inf)
            self.usable = self.usable and bool(good.all())
            if self.usable:
                self.statistics.add(values)
            yield tokens, values
