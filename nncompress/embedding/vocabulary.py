r"""Words and the rows they name, in a few bytes per word, read directly from a mapped file.

Words are sorted by their UTF-8 bytes and cut into blocks of 16 (front coding: Witten, Moffat and
Bell, "Managing Gigabytes", 1999, section 4.1). A block begins with its first word's length
(LEB128) and that word; each further word is one byte with the number of leading bytes that it
shares with the word before it (at most 31), and its other bytes. These further words are
compressed together with a symbol table. Bytes below 32 within words are written as ``FF`` and the
byte plus 64, so that the counts, which are below 32, mark where words begin: ``FF`` never occurs
in UTF-8.

Reading is bounded, block by block, by the most that can have been written: a damaged or hostile
file takes no more memory or time than a good one of its size, and gives wrong words or a
FormatError.
"""

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from nncompress.embedding.packing import Packing, bits_for
from nncompress.embedding.symbol_table import SymbolTable
from nncompress.errors import FormatError, InputError
from nncompress.sources.vocabulary import MOST_WORD_BYTES, check_words

BLOCK_WORDS = 16
_GROUP = 8  # row numbers are packed in groups that fill whole bytes
_MOST_SHARED = 31
_SAMPLE_BLOCKS = 2_048
# The number of first words kept in memory once a word is looked up: the top of the binary search.
_ROOT = 1_024
# A further word has a count, and at most two bytes for each of its own; a literal takes two codes.
_MOST_BLOCK_BYTES = 4 * BLOCK_WORDS * (MOST_WORD_BYTES + 1)
_NOT_CONTROL = bytes(range(32, 256))
_FURTHER_WORD = re.compile(rb"[\x00-\x1f][^\x00-\x1f]*")
_CONTROL = re.compile(rb"[\x00-\x1f]")
_ESCAPED = re.compile(rb"\xff(.)", re.DOTALL)
SECTIONS = ("offsets", "blocks", "symbols", "rows")


class Vocabulary:
    """The words of a table, each naming one row; rows may have no word.

    Args:
        sections: The arrays named in ``SECTIONS``: ``offsets``, uint32 ``(blocks + 1,)``, the
            starts of blocks in ``blocks``, uint8; ``symbols``, uint8, the symbol table; ``rows``,
            uint8, the row of each word in sorted order, packed. They may be mapped from a file,
            and only the parts needed to find a word are read.
        num_words: The number of words.
        num_rows: The number of rows of the table.

    Raises:
        FormatError: The sections' sizes do not match these numbers.
    """

    def __init__(self, sections: dict[str, np.ndarray], num_words: int, num_rows: int) -> None:
        self.sections = sections
        self.num_words = num_words
        self._num_rows = num_rows
        self._rows_packing = Packing(_GROUP, bits_for(num_rows))
        self._num_blocks = -(-num_words // BLOCK_WORDS)
        sizes = {
            "offsets": self._num_blocks + 1,
            "rows": -(-num_words // _GROUP) * self._rows_packing.row_bytes,
        }
        for name, size in sizes.items():
            if len(sections[name]) != size:
                raise FormatError(
                    f"the vocabulary's {name} have {len(sections[name])} entries; wanted {size} "
                    f"for {num_words} words"
                )
        # Single numbers and short slices are read faster from memoryviews than from arrays.
        self._offsets, self._blocks, self._rows = (
            sections[name].data for name in ("offsets", "blocks", "rows")
        )
        self._end = len(self._blocks)
        self._symbols: SymbolTable | None = None
        self._root: list[bytes] | None = None
        self._positions: np.ndarray | None = None

    @classmethod
    def of_words(cls, words: Sequence[str | None], num_rows: int) -> "Vocabulary":
        """Builds a vocabulary.

        Args:
            words: The word of each row; None for a row without one. If rows share a word, the
                first one gets it.
            num_rows: The number of rows of the table; rows past the last word have none.

        Raises:
            InputError: There are more words than rows, or a word is not a string that UTF-8 can
                represent.
        """
        if len(words) > num_rows:
            raise InputError(
                f"{len(words)} words were given for {num_rows} rows; wanted at most one per row"
            )
        check_words(words)
        rows: dict[str, int] = {}
        for row, word in enumerate(words):
            if word is not None:
                rows.setdefault(word, row)
        pairs = sorted((word.encode("utf-8"), row) for word, row in rows.items())
        packing = Packing(_GROUP, bits_for(num_rows))
        numbers = np.zeros(-(-len(pairs) // _GROUP) * _GROUP, dtype=np.uint32)
        numbers[: len(pairs)] = [row for _, row in pairs]
        sections = _front_coded([word for word, _ in pairs])
        sections["rows"] = packing.pack(numbers.reshape(-1, _GROUP)).reshape(-1)
        return cls(sections, len(pairs), num_rows)

    def __len__(self) -> int:
        return self.num_words

    def find(self, word: str) -> int:
        """Returns the row of a word, or -1."""
        try:
            wanted = word.encode("utf-8")
        except UnicodeEncodeError:
            return -1
        if not self.num_words:
            return -1
        low = self._block_of(wanted)
        words = self._block(low)
        if wanted not in words:
            return -1
        return self._row(low * BLOCK_WORDS + words.index(wanted))

    def _block_of(self, word: bytes) -> int:
        """Returns the last block whose first word is at or before a word; 0 if there is none."""
        stride = -(-self._num_blocks // _ROOT)
        if self._root is None:
            self._refuse_disorder()
            self._root = [self._head(block) for block in range(0, self._num_blocks, stride)]
        low = max(0, bisect_right(self._root, word) - 1) * stride
        high = min(low + stride, self._num_blocks)
        while high - low > 1:
            middle = (low + high) // 2
            if self._head(middle) <= word:
                low = middle
            else:
                high = middle
        return low

    def word(self, row: int) -> str | None:
        """Returns the word of a row, or None."""
        position = int(self.positions[row])
        if position < 0:
            return None
        word = self._block(position // BLOCK_WORDS)[position % BLOCK_WORDS]
        return self._decoded(word)

    def words(self) -> list[str | None]:
        """Returns the word of each row, or None."""
        words = list(self.sorted_words())
        return [None if place < 0 else words[place] for place in self.positions.tolist()]

    def sorted_words(self, prefix: str = "") -> Iterator[str]:
        """Iterates over the words with a prefix, in the order of their UTF-8 bytes."""
        self._refuse_disorder()
        start = prefix.encode("utf-8", "surrogatepass")
        last = b""
        first = self._block_of(start) if start and self.num_words else 0
        for block in range(first, self._num_blocks):
            coded = self._block(block)
            if coded[0] <= last and block > first:
                raise _damaged(f"block {block} does not come after the one before it")
            last = coded[-1]
            if start:
                if coded[0][: len(start)] > start:
                    return
                coded = [word for word in coded if word.startswith(start)]
            yield from map(self._decoded, coded)

    @property
    def positions(self) -> np.ndarray:
        """The position of each row's word among the sorted words, int32 ``(N,)``; -1 for none.

        It is computed on first use, and kept.
        """
        if self._positions is None:
            groups = np.frombuffer(self._rows, np.uint8).reshape(-1, self._rows_packing.row_bytes)
            rows = self._rows_packing.unpack(groups).reshape(-1)[: self.num_words]
            if self.num_words and int(rows.max()) >= self._num_rows:
                raise _damaged(f"it names row {rows.max()} of {self._num_rows}")
            places = np.arange(self.num_words, dtype=np.int32)
            positions = np.full(self._num_rows, -1, dtype=np.int32)
            positions[rows] = places
            if (positions[rows] != places).any():
                raise _damaged("two words name one row")
            self._positions = positions
        return self._positions

    def are_named(self, rows: np.ndarray) -> np.ndarray:
        """Tells which rows, by their numbers ``(n,)``, have a word: bool ``(n,)``."""
        return self.positions[rows] >= 0

    def _refuse_disorder(self) -> None:
        """Refuses blocks that overlap: together they would be larger than the file."""
        offsets = self.sections["offsets"]
        if (offsets[1:] < offsets[:-1]).any() or int(offsets[-1]) > self._end:
            raise _damaged("its blocks overlap")

    def __reduce__(self) -> tuple:
        sections = {name: np.array(section) for name, section in self.sections.items()}
        return Vocabulary, (sections, self.num_words, self._num_rows)

    def _row(self, position: int) -> int:
        bits = self._rows_packing.bits
        start = position // _GROUP * bits
        group = int.from_bytes(self._rows[start : start + bits], "little")
        row = group >> position % _GROUP * bits & (1 << bits) - 1
        if row >= self._num_rows:
            raise _damaged(f"it names row {row} of {self._num_rows}")
        return row

    @staticmethod
    def _decoded(word: bytes) -> str:
        try:
            return word.decode("utf-8")
        except UnicodeDecodeError:
            raise _damaged("a word is not UTF-8") from None

    def _place(self, block: int) -> tuple[int, int, int]:
        """Returns the start and end of a block's first word, and the end of the block."""
        begin, end = self._offsets[block], self._offsets[block + 1]
        if not begin < end <= self._end or end - begin > _MOST_BLOCK_BYTES:
            raise _damaged(f"block {block} would be bytes {begin} to {end}")
        length = self._blocks[begin]
        first = begin + 1
        shift = 7
        while length >> shift and shift < 21 and first < end:  # another byte follows
            length += (self._blocks[first] - 1) << shift
            first += 1
            shift += 7
        if length > MOST_WORD_BYTES or first + length > end:
            raise _damaged(f"block {block} begins with a word of {length} bytes")
        return first, first + length, end

    def _head(self, block: int) -> bytes:
        begin, end, _ = self._place(block)
        return bytes(self._blocks[begin:end])

    def _block(self, block: int) -> list[bytes]:
        """Returns the words of a block."""
        if self._symbols is None:
            self._symbols = SymbolTable.from_bytes(self.sections["symbols"].tobytes())
        begin, middle, end = self._place(block)
        word = bytes(self._blocks[begin:middle])
        words = [word]
        rest = self._symbols.expand(bytes(self._blocks[middle:end]))
        wanted = min(BLOCK_WORDS, self.num_words - block * BLOCK_WORDS)
        held = 1 + len(rest.translate(None, _NOT_CONTROL))
        if held != wanted or rest[:1] > b"\x1f":
            raise _damaged(f"block {block} holds {held} words; wanted {wanted}")
        escaped = b"\xff" in rest
        for further in _FURTHER_WORD.findall(rest):
            suffix = further[1:]
            if escaped:
                suffix = _ESCAPED.sub(lambda match: bytes([match[1][0] - 64 & 0x1F]), suffix)
            previous, word = word, word[: further[0]] + suffix
            if word <= previous:
                raise _damaged(f"block {block} has words out of order")
            words.append(word)
        if len(rest) + _MOST_SHARED > MOST_WORD_BYTES and max(map(len, words)) > MOST_WORD_BYTES:
            raise _damaged(f"block {block} has a word longer than any word can be")
        return words


def _damaged(how: str) -> FormatError:
    return FormatError(f"the vocabulary is damaged: {how}; get the file again")


def _front_coded(words: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Returns all sections except the rows, for sorted words."""
    blocks = [words[i : i + BLOCK_WORDS] for i in range(0, len(words), BLOCK_WORDS)]
    further = [b"".join(_further_words(block)) for block in blocks]
    stride = -(-len(blocks) // _SAMPLE_BLOCKS) or 1
    symbols = SymbolTable.fit(further[::stride])
    coded = [
        _leb128(len(block[0])) + block[0] + symbols.compress(rest)
        for block, rest in zip(blocks, further, strict=True)
    ]
    ends = np.cumsum([0, *map(len, coded)], dtype=np.int64)
    if ends[-1] >= 1 << 32:
        raise InputError("the vocabulary takes more than 4 GiB; wanted fewer or shorter words")
    return {
        "offsets": ends.astype("<u4"),
        "blocks": np.frombuffer(b"".join(coded), dtype=np.uint8),
        "symbols": np.frombuffer(symbols.to_bytes(), dtype=np.uint8),
    }


def _further_words(block: Sequence[bytes]) -> Iterator[bytes]:
    for previous, word in itertools.pairwise(block):
        shared = 0
        for one, other in zip(previous[:_MOST_SHARED], word, strict=False):
            if one != other:
                break
            shared += 1
        suffix = _CONTROL.sub(lambda match: bytes([0xFF, match[0][0] + 64]), word[shared:])
        yield bytes([shared]) + suffix


def _leb128(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
