"""Word vectors in text files (GloVe's and word2vec's formats), turned into ``.npy`` and ``.word``.

GloVe: each line is a token and D numbers, separated by spaces. word2vec: the same after a first
line with the number of rows and D. Tokens may hold spaces (glove.840B has some): the last D fields
are the numbers, and all that stands before them is the token.
"""

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nncompress.errors import InputError
from nncompress.files import atomic_path
from nncompress.progress import progress_bar

_PROBED_LINES = 100
_BLOCK_BYTES = 4 << 20


def output_paths(path: str | os.PathLike) -> tuple[Path, Path]:
    """Returns the ``.npy`` and ``.word`` paths for a text file: without ``.gz`` and its extension.

    Raises:
        InputError: One of them would be the input itself.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix == ".gz" else path
    stem = stem.with_suffix("")
    outputs = stem.with_name(stem.name + ".npy"), stem.with_name(stem.name + ".word")
    if path in outputs:
        raise InputError(f"{path} would be overwritten by its own conversion; rename it first")
    return outputs


def convert_text(path: str | os.PathLike) -> tuple[Path, Path, tuple[int, int]]:
    """Converts a text file of word vectors, in one pass over the text.

    The numbers go to the ``.npy`` file as they are read, so memory holds a block of rows only.

    Args:
        path: GloVe or word2vec text, gzip-compressed if its name ends in ``.gz``.

    Returns:
        The path of the float32 ``(N, D)`` matrix, the path of the vocabulary, and ``(N, D)``.

    Raises:
        InputError: The file is missing or empty, or a line (numbered from 1) cannot be read. The
            outputs appear only when everything was read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; wanted word vectors in a text file")
    matrix_path, word_path = output_paths(path)
    with _ProgressLines(path) as lines:
        header, dim = _probe(path, lines)
    with (
        atomic_path(matrix_path) as matrix_file,
        atomic_path(word_path) as word_file,
        matrix_file.open("wb") as matrix,
        word_file.open("wb") as words,
        _ProgressLines(path) as lines,
    ):
        _write_npy_header(matrix, 0, dim)
        num_rows = 0
        for tokens, values in _parse(path, lines, header, dim):
            words.writelines(token + b"\n" for token in tokens)
            matrix.write(values.tobytes())
            num_rows += len(tokens)
        if header is not None and num_rows != header:
            raise InputError(
                f"{path}: the first line promises {header} rows and {num_rows} follow; the file "
                "is cut short or not in word2vec's format"
            )
        matrix.seek(0)
        _write_npy_header(matrix, num_rows, dim)
    return matrix_path, word_path, (num_rows, dim)


class _ProgressLines:
    """The lines of a file, under a progress bar that follows the bytes read from disk."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        self._text = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw
        self._bar = progress_bar(path.stat().st_size, f"Reading {path.name}", "B", unit_scale=True)

    def __enter__(self) -> "_ProgressLines":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.close()
        self._text.close()
        self._raw.close()

    def __iter__(self) -> Iterator[bytes]:
        for line in self._text:
            yield line
            if (moved := self._raw.tell() - self._bar.n) > 1 << 20:
                self._bar.update(moved)


def _probe(path: Path, lines: _ProgressLines) -> tuple[int | None, int]:
    """Finds word2vec's row count, if the first line is such a header, and the dimension D."""
    try:
        probed = [_fields(line) for line in islice(lines, _PROBED_LINES + 1)]
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be decompressed: {error}") from None
    if not probed:
        raise InputError(f"{path} is empty; wanted a token and its numbers on each line")
    # Tokens with spaces are rare, and only make a line longer: the usual length tells D.
    first, following = probed[0], probed[1:]
    if len(first) == 2 and all(field.isdigit() for field in first):
        rows, header_dim = map(int, first)
        if header_dim > 0 and (not following or header_dim == _usual_dim(following)):
            return rows, header_dim
    dim = _usual_dim(probed)
    if dim < 1:
        raise InputError(
            f"{path}: {len(first[0])} characters and no number in a line; wanted a token and its "
            "numbers on each line, separated by spaces"
        )
    return None, dim


def _usual_dim(lines: list[list[bytes]]) -> int:
    return Counter(len(fields) for fields in lines).most_common(1)[0][0] - 1


def _fields(line: bytes) -> list[bytes]:
    return line.rstrip(b" \r\n").split(b" ")


def _parse(
    path: Path, lines: _ProgressLines, header: int | None, dim: int
) -> Iterator[tuple[list[bytes], np.ndarray]]:
    block_rows = max(1, _BLOCK_BYTES // (4 * dim))
    numbered = enumerate(lines, 1)
    if header is not None:
        next(numbered)
    while True:
        tokens: list[bytes] = []
        values = np.empty((block_rows, dim), dtype="<f4")
        try:
            for number, line in islice(numbered, block_rows):
                token, row = _parse_line(path, number, line, dim)
                values[len(tokens)] = row
                tokens.append(token)
        except (OSError, EOFError) as error:
            raise InputError(f"{path} cannot be decompressed: {error}") from None
        if not tokens:
            return
        yield tokens, values[: len(tokens)]


def _parse_line(path: Path, number: int, line: bytes, dim: int) -> tuple[bytes, np.ndarray]:
    fields = line.rstrip(b" \r\n").rsplit(b" ", dim)
    if len(fields) != dim + 1:
        raise InputError(
            f"{path}, line {number}: {len(fields) - 1} numbers; wanted a token and {dim} numbers"
        )
    token = fields[0]
    try:
        with np.errstate(over="ignore"):
            row = np.array(fields[1:], dtype=np.float64).astype(np.float32)
    except ValueError:
        bad = next(field for field in fields[1:] if not _is_number(field))
        raise InputError(
            f"{path}, line {number}: {bad[:40].decode(errors='replace')!r} is not a number; "
            f"wanted a token and {dim} numbers"
        ) from None
    if not np.isfinite(row).all():
        raise InputError(f"{path}, line {number}: a number is not finite in float32")
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{path}, line {number}: the token is not valid UTF-8; wanted UTF-8"
        ) from None
    if "\t" in text:
        raise InputError(f"{path}, line {number}: the token {text!r} holds a tab; replace it")
    return token, row


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _write_npy_header(file: BinaryIO, num_rows: int, dim: int) -> None:
    """Writes a header of a fixed length, so that the row count can be filled in at the end."""
    shape = f"({num_rows}, {dim}), }}"
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}".ljust(117) + "\n"
    file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii"))
