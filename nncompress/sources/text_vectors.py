"""Word vectors in text files (GloVe's and word2vec's formats), turned into ``.npy`` and ``.word``.

GloVe: each line is a token and D numbers, separated by spaces. word2vec: the same, after a first
line with the number of rows and D. Tokens may contain spaces (glove.840B has some): the last D
fields are the numbers, and everything before them is the token.
"""

import os
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.files import atomic_paths, refuse_replacing
from nncompress.formats.npy import BLOCK_BYTES, MOST_COLUMNS, Rows, write_npy
from nncompress.sources.lines import shown
from nncompress.sources.streams import COMPRESSED, Stream, locate, open_stream
from nncompress.sources.vocabulary import MOST_WORD_BYTES, LineWriter

_PROBED_LINES = 100


def output_paths(path: str | os.PathLike) -> tuple[Path, Path]:
    """Returns the ``.npy`` and ``.word`` paths for a text file, in place of its extensions.

    Raises:
        InputError: One of them would be the input itself.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in COMPRESSED else path
    stem = stem.with_suffix("")
    outputs = stem.with_name(stem.name + ".npy"), stem.with_name(stem.name + ".word")
    if path in outputs:
        raise InputError(f"{path} would be overwritten by its own conversion; rename it first")
    return outputs


def convert_text(
    path: str | os.PathLike, dim: int | None = None
) -> tuple[Path, Path, tuple[int, int]]:
    """Converts a text file of word vectors, in one pass over the text.

    The numbers go to the ``.npy`` file as they are read, so memory holds a block of rows only.

    Args:
        path: GloVe or word2vec text, compressed if its name ends in ``.gz``, ``.xz``, ``.bz2`` or
            ``.zip``.
        dim: D, if it is known: a file with a different D is refused.

    Returns:
        The path of the float32 ``(N, D)`` matrix, the path of the vocabulary, and ``(N, D)``.

    Raises:
        InputError: The file is missing or empty, its rows do not have ``dim`` numbers, a line
            (numbered from 1) cannot be read, or files with other contents already exist at the
            output paths. The outputs appear only once everything has been read.
    """
    path = Path(path)
    locate(path)
    matrix_path, word_path = output_paths(path)
    with (
        atomic_paths(matrix_path, word_path) as (matrix, word_file),
        word_file.open("wb") as file,
    ):
        words = LineWriter(file)
        shape = write_npy(matrix, read_text(path, dim), words.write)
        words.finish()
        file.flush()
        for new, existing in ((matrix, matrix_path), (word_file, word_path)):
            refuse_replacing(new, existing)
    return matrix_path, word_path, shape


def read_text(path: Path, expected_dim: int | None = None) -> Rows:
    """Reads word vectors in text, block by block.

    Args:
        path: GloVe or word2vec text, compressed if its name ends in ``.gz``, ``.xz``, ``.bz2`` or
            ``.zip``.
        expected_dim: D, if it is known: a file with a different D is refused.

    Yields:
        Tokens (valid UTF-8 without tabs or line breaks) and their rows, float32 ``(n, D)``.

    Raises:
        InputError: The file is missing or empty, its rows do not have ``expected_dim`` numbers, or
            a line (numbered from 1) cannot be read.
    """
    with open_stream(path) as lines:
        header, dim = _probe(path, lines)
    if expected_dim not in (None, dim):
        raise InputError(f"{path} has {dim} numbers in a row; wanted {expected_dim}")
    num_rows = 0
    with open_stream(path) as lines:
        for tokens, values in parse_rows(path, lines, header is not None, dim):
            num_rows += len(tokens)
            yield tokens, values
    if header is not None and num_rows != header:
        raise InputError(
            f"{path}: the first line promises {header} rows, but {num_rows} follow; the file "
            "is cut short or not in word2vec's format"
        )


def _probe(path: Path, lines: Stream) -> tuple[int | None, int]:
    """Finds word2vec's row count, if the first line is a header, and the dimension D."""
    first: list[bytes] = []
    lengths = []
    for line in islice(lines, _PROBED_LINES + 1):
        fields = line.rstrip(b" \r\n").split(b" ")
        first = first or fields
        lengths.append(len(fields))
    if not first:
        raise InputError(f"{path} is empty; wanted a token and its numbers on each line")
    # Tokens with spaces are rare and only make a line longer, so the usual length gives D.
    following = lengths[1:]
    if len(first) == 2 and all(field.isdigit() and len(field) <= 18 for field in first):
        rows, header_dim = map(int, first)
        if 0 < header_dim <= MOST_COLUMNS and (
            not following or header_dim == _usual_dim(following)
        ):
            return rows, header_dim
    dim = _usual_dim(lengths)
    if dim < 1:
        raise InputError(
            f"{path}: {len(first[0])} characters and no number in a line; wanted a token and its "
            "numbers on each line, separated by spaces"
        )
    return None, dim


def _usual_dim(lengths: list[int]) -> int:
    return Counter(lengths).most_common(1)[0][0] - 1


def parse_rows(path: Path, lines: Stream, has_header: bool, dim: int) -> Rows:
    """Yields blocks of tokens and rows of D numbers, skipping a header."""
    block_rows = max(1, BLOCK_BYTES // (4 * dim))
    numbered = enumerate(lines, 1)
    if has_header:
        next(numbered)
    while True:
        tokens: list[bytes] = []
        values = np.empty((block_rows, dim), dtype="<f4")
        for number, line in islice(numbered, block_rows):
            token, row = _parse_line(path, number, line, dim)
            values[len(tokens)] = row
            tokens.append(token)
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
    if len(token) > MOST_WORD_BYTES:
        raise InputError(
            f"{path}, line {number}: a token of {len(token)} bytes before {dim} numbers; "
            f"wanted at most {MOST_WORD_BYTES}"
        )
    try:
        with np.errstate(over="ignore"):
            exact = np.array(fields[1:], dtype=np.float64)
            row = exact.astype(np.float32)
    except ValueError:
        bad = next(field for field in fields[1:] if not is_number(field))
        raise InputError(
            f"{path}, line {number}: {bad[:40].decode(errors='replace')!r} is not a number; "
            f"wanted a token and {dim} numbers"
        ) from None
    if not np.isfinite(row).all():
        raise InputError(f"{path}, line {number}: a number is not finite in float32")
    if not row.any() and exact.any():  # a subnormal row is refused later, with the matrix
        raise InputError(
            f"{path}, line {number}: no number is larger than {np.abs(exact).max():.3g}, which is "
            "0 in float32; scale the table so that its rows have lengths of about 1"
        )
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{path}, line {number}: the token is not valid UTF-8; wanted UTF-8"
        ) from None
    if "\t" in text:
        raise InputError(f"{path}, line {number}: the token {shown(text)} holds a tab; replace it")
    return token, row


def is_number(field: bytes) -> bool:
    """Tells whether bytes spell a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True
