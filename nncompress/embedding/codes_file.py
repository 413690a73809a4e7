"""Reading codes in text and their codebook, as this project and the authors' code write them.

Each line is a row: ``token<TAB>c0 c1 ... c(M-1)``, or the codes alone. NumPy parses whole blocks
of lines at once. A block that is not in exactly this form is read again line by line, which allows
other white space and can say what is wrong with which line.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.embedding.codes import code_dtype
from nncompress.errors import InputError
from nncompress.formats.files import what_is
from nncompress.formats.npy import map_npy
from nncompress.sources.hugging_face import read_tokens
from nncompress.sources.lines import MOST_LINE_BYTES, text_lines, too_long, without_mark
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.row_words import warn_of_wordless
from nncompress.version import __version__

_BLOCK_BYTES = 4 << 20
_MOST_DIGITS = 5  # of 65,535, the largest code
_WANTED = "wanted a row of codes on each line: integers separated by spaces"


@dataclass(frozen=True)
class ReadCodes:
    """Codes, their codebook and their words, from files.

    Attributes:
        codes: uint8 or uint16 ``(N, M)``.
        codebook: Floats, ``(M*K, D)``.
        words: For each row its word or None, at most N entries; None for no words.
        provenance: The release that read them, and the files' names.
    """

    codes: np.ndarray
    codebook: np.ndarray
    words: Sequence[str | None] | None
    provenance: dict[str, object]


def read_codes(
    codes: str | os.PathLike,
    codebook: str | os.PathLike,
    words: str | os.PathLike | Sequence[str | None] | None = None,
) -> ReadCodes:
    """Reads codes and their codebook.

    Args:
        codes: A UTF-8 text file, with a token on every line or on none.
        codebook: A ``.npy`` file.
        words: The words of codes without tokens: a list or the path of a file.

    Raises:
        InputError: A file is missing or of another kind, ``words`` is given although the file
            has tokens, or ``words`` is empty. Fewer or more words than rows only give a warning,
            and so do codes that use less than half of the codebook.
    """
    codes, codebook = Path(codes), Path(codebook)
    lines = _Lines(codes)
    if words is not None and lines.have_tokens:
        raise InputError(
            f"words were given, but {codes} has a token on each line; leave the words out"
        )
    vectors = _open_codebook(codebook, codes, lines.num_codebooks)
    if isinstance(words, (str, os.PathLike)):
        words = read_tokens(Path(words))
    read, tokens = lines.read(len(vectors) // lines.num_codebooks)
    if words is not None and len(words) == 0:
        raise InputError(f"words are empty for the {len(read)} rows of {codes}; leave them out")
    if words is not None:
        warn_of_wordless(words, str(codes), len(read))
    _warn_of_unused(codes, read, len(vectors) // lines.num_codebooks)
    if words is not None and len(words) > len(read):
        warnings.warn(
            f"{len(words)} words for the {len(read)} rows of {codes}: the first {len(read)} words "
            "are taken",
            stacklevel=3,
        )
        words = words[: len(read)]
    provenance: dict[str, object] = {
        "made_by": f"chainer-nncompress {__version__}",
        "source": f"{_text(codes.name)}, {_text(codebook.name)}",
    }
    return ReadCodes(read, vectors, tokens if lines.have_tokens else words, provenance)


def _warn_of_unused(path: Path, codes: np.ndarray, num_codewords: int) -> None:
    """Warns if codes use less than half of the codebook, as truncated lines do."""
    num_rows, num_codebooks = codes.shape
    if num_rows >= 8 * num_codewords >= 32 and codes.max() < num_codewords // 2:
        warnings.warn(
            f"{path} has {num_codebooks} codes per line, so with this codebook "
            f"M={num_codebooks} and K={num_codewords}, but no code is above {codes.max()}; if M "
            "should be larger, the lines have been truncated",
            stacklevel=4,
        )


def _text(name: str) -> str:
    """Returns a file's name without bytes that are not text."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _open_codebook(path: Path, codes: Path, num_codebooks: int) -> np.ndarray:
    """Maps a codebook and checks it."""
    vectors = map_npy(path, "a codebook")
    matrix = EmbeddingMatrix(vectors, str(path), tiny_rows=True)  # refuses all else
    num_codewords, left = divmod(len(matrix), num_codebooks)
    if left or not 2 <= num_codewords <= 1 << 16:
        raise InputError(
            f"{path} has {len(matrix)} rows, but {codes} has {num_codebooks} codes on line 1; "
            "wanted M*K rows for M codes per line, with K from 2 to 65,536"
        )
    return vectors


class _Lines:
    """The lines of a file of codes.

    Args:
        path: The file.

    Attributes:
        have_tokens: Whether the first line has a token; all lines must then have one.
        num_codebooks: M, the number of codes on the first line.

    Raises:
        InputError: The file is missing or empty, or its first line has no codes.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path} {what_is(path)}; wanted a text file of codes")
        self._path = path
        with path.open("rb") as file:
            first = next(text_lines(file, path), None)
        if first is None:
            raise InputError(f"{path} is empty; {_WANTED}")
        if first.startswith(b"\x93NUMPY"):
            raise InputError(
                f"{path} is a .npy file; wanted the text file of codes first, then the codebook"
            )
        self.have_tokens = b"\t" in first
        self.num_codebooks = len(first.rpartition(b"\t")[2].split())
        if self.num_codebooks == 0:
            raise InputError(f"{path}, line 1: no codes; {_WANTED}")

    def read(self, num_codewords: int) -> tuple[np.ndarray, list[str]]:
        """Reads all lines.

        Args:
            num_codewords: K.

        Returns:
            Codes, uint8 or uint16 ``(N, M)``, and each row's token, if there are tokens.

        Raises:
            InputError: A line is not in this form; the message gives its number.
        """
        dtype = code_dtype(num_codewords)
        parts: list[np.ndarray] = []
        tokens: list[str] = []
        num_rows = 0
        for block in self._blocks():
            lines = block.split(b"\n")
            parsed = self._parse_block(lines, num_codewords)
            if parsed is None:
                read = [
                    self._parse_line(num_rows + i, line, num_codewords)
                    for i, line in enumerate(lines, 1)
                ]
                parsed = np.array([codes for _, codes in read]), [token for token, _ in read]
            parts.append(parsed[0].astype(dtype))
            tokens += parsed[1]
            num_rows += len(lines)
        return np.concatenate(parts), tokens

    def _blocks(self) -> Iterator[bytes]:
        """Yields blocks of whole lines, without the last line break."""
        num_lines = 0
        with self._path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                rest = file.readline(MOST_LINE_BYTES + 1)
                if len(rest) > MOST_LINE_BYTES:
                    raise too_long(self._path, num_lines + block.count(b"\n") + 1)
                block += rest
                if num_lines == 0:
                    block = without_mark(block, self._path)
                num_lines += block.count(b"\n")
                yield block.removesuffix(b"\n")

    def _parse_block(
        self, lines: list[bytes], num_codewords: int
    ) -> tuple[np.ndarray, list[str]] | None:
        """Parses lines in the exact form; returns None if one is not."""
        tokens: list[str] = []
        if self.have_tokens:
            pairs = [line.split(b"\t") for line in lines]
            if any(len(pair) != 2 for pair in pairs):
                return None
            try:
                tokens = b"\n".join([token for token, _ in pairs]).decode("utf-8").split("\n")
            except UnicodeDecodeError:
                return None
            lines = [codes for _, codes in pairs]
        lines = [line.rstrip(b" \r") for line in lines]
        codes = _parse_numbers(b"\n".join(lines) + b"\n", len(lines), self.num_codebooks)
        if codes is None or int(codes.max()) >= num_codewords:
            return None
        return codes, tokens

    def _parse_line(self, number: int, line: bytes, num_codewords: int) -> tuple[str, list[int]]:
        """Parses a line's token, empty if there are no tokens, and its codes."""
        where = f"{self._path}, line {number}"
        if line.count(b"\t") != self.have_tokens:
            wanted = "a token, a tab and codes" if self.have_tokens else "codes without a token"
            tabs = line.count(b"\t")
            raise InputError(f"{where}: {tabs} tabs; wanted {wanted}, as on line 1")
        token, _, numbers = line.rpartition(b"\t")
        try:
            text = token.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{where}: invalid UTF-8 ({error.reason} at byte {error.start}); wanted UTF-8 text"
            ) from None
        fields = [field.lstrip(b"0") or field[:1] for field in numbers.split()]
        if len(fields) != self.num_codebooks:
            raise InputError(
                f"{where}: {len(fields)} codes; wanted {self.num_codebooks}, as on line 1"
            )
        for field in fields:
            shown = field[:40].decode("utf-8", "replace")
            if not field.isdigit():
                raise InputError(
                    f"{where}: {shown!r} is not a code; wanted an integer from 0 to "
                    f"{num_codewords - 1}"
                )
            if len(field) > _MOST_DIGITS or int(field) >= num_codewords:
                raise InputError(
                    f"{where}: a code is {shown}; wanted 0 to {num_codewords - 1}, as the "
                    f"codebook has {num_codewords} rows for each of {self.num_codebooks} codes"
                )
        return text, [int(field) for field in fields]


def _parse_numbers(text: bytes, num_rows: int, num_columns: int) -> np.ndarray | None:
    """Parses integers of a few digits, separated by one space, with a line break after each row.

    Returns:
        uint32 ``(num_rows, num_columns)``, or None if the text is anything else.
    """
    data = np.frombuffer(text, dtype=np.uint8)
    digits = data - np.uint8(ord("0"))  # other characters become 10 or more: uint8 wraps around
    ends = np.flatnonzero(digits > 9)
    if len(ends) != num_rows * num_columns:
        return None
    lengths = np.diff(ends, prepend=-1) - 1
    separators = data[ends].reshape(num_rows, num_columns)
    if (
        not 1 <= lengths.min() <= lengths.max() <= _MOST_DIGITS
        or (separators[:, :-1] != ord(" ")).any()
        or (separators[:, -1] != ord("\n")).any()
    ):
        return None
    values = np.zeros(len(ends), dtype=np.uint32)
    for place in range(int(lengths.max())):
        digit = digits.take(np.maximum(ends - 1 - place, 0))
        values += np.where(lengths > place, digit, 0).astype(np.uint32) * np.uint32(10**place)
    return values.reshape(num_rows, num_columns)
