"""Compressing short strings with a table of up to 255 frequent pieces, each written as a byte.

Source: Boncz, Neumann and Leis, "FSST: Fast Random Access String Compression", VLDB 2020: finding
    a symbol table (section 4), and the last code as an escape for a literal byte.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from nncompress.errors import FormatError

LITERAL = 255
_LONGEST = 8
_ROUNDS = 8


class SymbolTable:
    """Pieces of 1 to 8 bytes, and their codes 0 to 254.

    Args:
        symbols: The pieces, at most 255.
    """

    def __init__(self, symbols: Sequence[bytes]) -> None:
        self._symbols = [*symbols, *[b""] * (256 - len(symbols))]
        self._count = len(symbols)
        self._codes = {symbol: code for code, symbol in enumerate(symbols)}

    @classmethod
    def fit(cls, sample: Sequence[bytes]) -> "SymbolTable":
        """Finds a symbol table for strings like those of a sample.

        Each round compresses the sample with the current table, then ranks the pieces used, and
        pairs of them that could be merged, by the bytes that they would replace.
        """
        found = cls([])
        for _ in range(_ROUNDS):
            counts: Counter[bytes] = Counter()
            for string in sample:
                previous = None
                for piece in found._pieces(string):
                    counts[piece] += 1
                    if len(piece) > 1:
                        counts[piece[:1]] += 1
                    if previous is not None and len(previous) + len(piece) <= _LONGEST:
                        counts[previous + piece] += 1
                    previous = piece
            # A byte without a code takes two, so a code for it is worth more than its length.
            ranked = sorted(counts, key=lambda s: (-counts[s] * (4 if len(s) == 1 else len(s)), s))
            found = cls(ranked[:LITERAL])
        return found

    @classmethod
    def from_bytes(cls, data: bytes) -> "SymbolTable":
        """Reads a symbol table from the bytes that ``to_bytes`` returned.

        Raises:
            FormatError: The bytes are not a symbol table.
        """
        symbols, place = [], 0
        if len(data) > LITERAL * (1 + _LONGEST):
            raise FormatError("the vocabulary's symbol table is damaged")
        while place < len(data):
            length = data[place]
            symbols.append(data[place + 1 : place + 1 + length])
            if not 1 <= length <= _LONGEST or len(symbols[-1]) < length:
                raise FormatError("the vocabulary's symbol table is damaged")
            place += 1 + length
        if len(symbols) > LITERAL:
            raise FormatError("the vocabulary's symbol table is damaged")
        return cls(symbols)

    def to_bytes(self) -> bytes:
        """Returns each symbol, preceded by its length in a byte."""
        return b"".join(bytes([len(s)]) + s for s in self._symbols[: self._count])

    def compress(self, string: bytes) -> bytes:
        """Repeatedly replaces the longest matching piece with its code."""
        codes = bytearray()
        for piece in self._pieces(string):
            code = self._codes.get(piece)
            codes.extend((LITERAL, piece[0]) if code is None else (code,))
        return bytes(codes)

    def expand(self, codes: bytes) -> bytes:
        """Inverts ``compress``; codes without a symbol are skipped."""
        symbols = self._symbols
        if LITERAL not in codes:
            return b"".join(map(symbols.__getitem__, codes))
        pieces, following = [], iter(codes)
        for code in following:
            pieces.append(bytes([next(following, 0)]) if code == LITERAL else symbols[code])
        return b"".join(pieces)

    def _pieces(self, string: bytes) -> Iterable[bytes]:
        """Cuts a string into symbols, and single bytes where no symbol matches."""
        codes, place = self._codes, 0
        while place < len(string):
            for length in range(min(_LONGEST, len(string) - place), 1, -1):
                piece = string[place : place + length]
                if piece in codes:
                    break
            else:
                piece = string[place : place + 1]
            yield piece
            place += len(piece)
