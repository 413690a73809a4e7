"""Packed codes and a codebook, and what can be computed from them without decoding all rows."""

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from nncompress.embedding.access import Access
from nncompress.embedding.engine import engine
from nncompress.embedding.packing import Packing, bits_for
from nncompress.embedding.quantized_matrix import QuantizedMatrix
from nncompress.embedding.ranking import best
from nncompress.embedding.shared import shared_property
from nncompress.errors import InputError
from nncompress.machine import free_memory

# Up to this size, inner products of codewords are looked up; above it, rows are decoded.
_MOST_GRAM_CODEWORDS = 2_048
_BLOCK_BYTES = 8 << 20
_BLOCK_ROWS = 65_536
# Row lengths are kept if those of all rows take no more than this share of free memory.
_SHARE = 4
# Rows shorter than this share of their codewords' lengths are zeros but for rounding.
_ROUNDING = 1e-6
# Range of the binary exponent of a codebook's largest number in which float32 holds sums of
# products with a unit vector, for a table's large and small rows alike.
_LEAST_EXPONENT, _MOST_EXPONENT = -60, 100


class CodeTable:
    """Rows of an embedding matrix as packed codes, and their codebook.

    Both arrays may be mapped from a file; nothing is read until it is needed.

    Args:
        packed: The codes as ``Packing`` packs them, uint8 ``(N, row_bytes)``.
        codebook: ``(M*K, D)``, float32, float16, or quantized; group m is rows
            ``m*K ... m*K+K-1``.
        num_codebooks: M.
        access: The access to rows in a file on a device; None if they are in memory.

    Attributes:
        packed: The codes, as given.
        stored_codebook: The codebook, as given.
        num_rows: N.
        dim: D.
        num_codebooks: M.
        num_codewords: K.
        packing: The layout of the codes' bits.
        access: As given.
    """

    def __init__(
        self,
        packed: np.ndarray,
        codebook: np.ndarray | QuantizedMatrix,
        num_codebooks: int,
        access: Access | None = None,
    ) -> None:
        self.packed = packed
        self.stored_codebook = codebook
        self.num_rows, self.dim = len(packed), codebook.shape[1]
        self.num_codebooks = num_codebooks
        self.num_codewords = codebook.shape[0] // num_codebooks
        self.packing = Packing(num_codebooks, bits_for(self.num_codewords))
        self.access = access
        self._made: dict[str, object] = {}

    def with_rows(self, packed: np.ndarray) -> "CodeTable":
        """Returns a table of other rows that shares the codebook and everything derived from it.

        Args:
            packed: uint8 ``(n, row_bytes)``.
        """
        other = CodeTable(packed, self.stored_codebook, self.num_codebooks)
        other._made = self._made
        return other

    @classmethod
    def of_codes(cls, codes: np.ndarray, codebook: np.ndarray) -> "CodeTable":
        """Makes a table of unpacked codes.

        Args:
            codes: Integers in ``0 ... K-1``, ``(N, M)``.
            codebook: ``(M*K, D)`` of float32 or float16; other float types become float32.

        Raises:
            InputError: The arrays' shapes, types or values do not match.
        """
        codes, codebook = np.asarray(codes), np.asarray(codebook)
        for name, array, kinds in (("codes", codes, "ui"), ("the codebook", codebook, "f")):
            if array.ndim != 2 or array.size == 0 or array.dtype.kind not in kinds:
                wanted = "integers (rows, M)" if kinds == "ui" else "floats (M*K, columns)"
                raise InputError(
                    f"{name} of type {array.dtype} and shape {array.shape}; wanted {wanted}"
                )
        num_codebooks = codes.shape[1]
        num_codewords, left = divmod(len(codebook), num_codebooks)
        if left or not 2 <= num_codewords <= 1 << 16:
            raise InputError(
                f"a codebook of {len(codebook)} rows for codes of {num_codebooks} columns; wanted "
                "M*K rows for M columns, with K from 2 to 65,536"
            )
        if int(codes.min()) < 0 or int(codes.max()) >= num_codewords:
            bad = codes.min() if codes.min() < 0 else codes.max()
            raise InputError(f"a code is {bad}; wanted 0 to {num_codewords - 1}")
        if codebook.dtype != np.float16:
            codebook = codebook.astype(np.float32)
        if not np.isfinite(codebook).all():
            raise InputError("the codebook has numbers that are not finite in its dtype")
        packing = Packing(num_codebooks, bits_for(num_codewords))
        return cls(packing.pack(codes), codebook, num_codebooks)

    @shared_property
    def codebook(self) -> np.ndarray:
        """The codebook as numbers, float32 or float16 ``(M*K, D)``."""
        stored = self.stored_codebook
        return stored.to_numpy() if isinstance(stored, QuantizedMatrix) else stored

    @property
    def codebook_type(self) -> str:
        """The format of the codebook's entries: float32, float16, or a number of bits."""
        stored = self.stored_codebook
        if isinstance(stored, QuantizedMatrix):
            return f"{stored.bits} bits"
        return str(stored.dtype)

    @property
    def row_bytes(self) -> float:
        """Bytes per row, on average."""
        return float(self.packing.row_bytes)

    @property
    def shared_bytes(self) -> int:
        """Bytes shared by all rows: the codebook."""
        return self.stored_codebook.nbytes

    @shared_property
    def codewords(self) -> np.ndarray:
        """The codebook as kernels read it: float32 ``(M * 2**b, D)`` for codes of b bits.

        Groups are padded with zeros, so that no code of a damaged file can be out of bounds. It
        is computed on first use.
        """
        return self._padded(np.float32)

    @shared_property
    def _halves(self) -> np.ndarray:
        """The codewords in float16, viewed as uint16, for kernels that read that."""
        return self._padded(np.float16).view(np.uint16)

    def _padded(self, dtype: type) -> np.ndarray:
        size = 1 << self.packing.bits
        if size == self.num_codewords:
            return np.ascontiguousarray(self.codebook, dtype=dtype)
        padded: np.ndarray = np.zeros((self.num_codebooks, size, self.dim), dtype=dtype)
        padded[:, : self.num_codewords] = self.codebook.reshape(
            self.num_codebooks, self.num_codewords, self.dim
        )
        return padded.reshape(-1, self.dim)

    def codes(self, rows: np.ndarray | slice) -> np.ndarray:
        """Returns the codes of rows: uint8 or uint16 ``(n, M)``."""
        return self.packing.unpack(self.packed[rows])

    def _ask_for_all(self, num_rows: int) -> None:
        """Requests leading rows in advance, where rows are otherwise read at random."""
        if self.access is not None:
            self.access.ask(self.packed[:num_rows])

    def packed_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the packed codes of rows, uint8 ``(n, row_bytes)``."""
        if self.access is not None:
            return self.access.packed(self.packed, rows)
        return self.packed.take(rows, axis=0)  # much faster than indexing

    def vector(self, row: int) -> np.ndarray:
        """Returns a row, float32 ``(D,)``."""
        return self.decode(np.array([row]))[0]

    def decode(self, rows: np.ndarray | slice) -> np.ndarray:
        """Returns rows, float32 ``(n, D)``.

        Args:
            rows: Indices, int64 and below N, or a slice.
        """
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self.num_rows))
        total = np.empty((len(rows), self.dim), dtype=np.float32)
        halves = self.codebook.dtype == np.float16 and engine.reads_halves
        codewords = self._halves if halves else self.codewords
        packed = self.packed
        if self.access is not None:
            packed, rows = self.access.packed(packed, rows), np.arange(len(rows))
        engine.call("decode", (rows, total), packed, self.packing.bits, codewords)
        return total

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields all rows in blocks: the number of the first row, and the rows, float32."""
        for first in range(0, self.num_rows, self._block_rows):
            yield first, self.decode(slice(first, first + self._block_rows))

    def nearest(
        self, query: np.ndarray, count: int, num_rows: int, left_out: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows with the largest cosines, in descending order, and the cosines.

        Args:
            query: float32 ``(D,)``, of length 1.
            count: The number of rows, at least 1.
            num_rows: The number of leading rows to search.
            left_out: Rows to leave out, int64.
        """
        return best(self.cosines(query, num_rows), count, left_out)

    def cosines(self, query: np.ndarray, num_rows: int | None = None) -> np.ndarray:
        """Returns the cosines between a vector of length 1 and rows, float32 ``(n,)``.

        Args:
            query: float32 ``(D,)``. If its length is not 1, the cosines come multiplied by it.
            num_rows: n, the number of leading rows; all by default.
        """
        num_rows = self.num_rows if num_rows is None else min(num_rows, self.num_rows)
        return self._scanned(query, self._scaled_inverse_norms[:num_rows])

    def products(self, query: np.ndarray) -> np.ndarray:
        """Returns the inner products of a vector with all rows, float32 ``(N,)``.

        Args:
            query: float32 ``(D,)``.
        """
        scale = np.float32(math.ldexp(1.0, -self._exponent))
        return self._scanned(query, np.full(self.num_rows, scale))

    def _scanned(self, query: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Returns products of leading rows, times each row's factor and ``2**_exponent``."""
        look_up = self._look_up_tables(query)
        self._ask_for_all(len(factors))
        scores = np.empty(len(factors), dtype=np.float32)
        for first in range(0, len(factors), self._scan_rows):
            block = slice(first, min(first + self._scan_rows, len(factors)))
            parts = self._places(self.packed[block]), factors[block], scores[block]
            engine.call("scan", parts, look_up)
        return scores

    def cosines_of(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns the cosines of some rows only, equal bit for bit to those of ``cosines``.

        Args:
            query: float32 ``(D,)``.
            rows: Row numbers, int64 ``(n,)``.
        """
        look_up = self._look_up_tables(query)
        scores = np.empty(len(rows), dtype=np.float32)
        for first in range(0, len(rows), self._block_rows):
            block = slice(first, first + self._block_rows)
            packed = self.packed_of(rows[block])
            parts = self._places(packed), self._inverse_of(rows[block])
            engine.call("scan", (*parts, scores[block]), look_up)
        return scores

    @property
    def inverse_norms(self) -> np.ndarray:
        """The inverse of each row's length, float32 ``(N,)``; 0 for rows of zeros.

        It is computed on first use, from the inner products of codewords, and kept.
        """
        with np.errstate(over="ignore"):  # for rows shorter than 3e-39
            return np.ldexp(self._scaled_inverse_norms, self._exponent)

    @shared_property
    def _exponent(self) -> int:
        """The exponent e where queries are multiplied by ``2**e``; 0 for most tables.

        It keeps products with the largest codewords, or with the smallest, within float32.
        """
        exponent = math.frexp(float(np.abs(self.codewords).max()))[1]
        if exponent > _MOST_EXPONENT:
            return _MOST_EXPONENT - exponent
        return min(-exponent, _MOST_EXPONENT) if exponent < _LEAST_EXPONENT else 0

    @cached_property
    def _scaled_inverse_norms(self) -> np.ndarray:
        """``1 / (length * 2**_exponent)`` of each row, float32 ``(N,)``; 0 for zeros."""
        squares = np.empty(self.num_rows, dtype=np.float64)
        self._ask_for_all(self.num_rows)
        if self._gram is not None:
            engine.call("square_norms", (self.packed, squares), self.packing.bits, self._gram)
        else:
            for first, rows in self.blocks():
                part = squares[first : first + len(rows)]
                np.einsum("nd,nd->n", rows, rows, out=part, dtype=np.float64)
        return self._inverse(squares, self.packed)

    def _inverse_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns ``_scaled_inverse_norms`` of some rows, float32 ``(n,)``."""
        if "_scaled_inverse_norms" in self.__dict__:  # an exact search has computed them
            return self._scaled_inverse_norms[rows]
        kept = self._kept_inverse_norms
        if kept is None:
            return self._computed_inverse(rows)
        inverse = kept[rows]
        unknown = np.flatnonzero(inverse == 0)
        inverse[unknown] = self._computed_inverse(rows[unknown])
        kept[rows] = inverse
        return inverse

    @cached_property
    def _kept_inverse_norms(self) -> np.ndarray | None:
        """The ``_scaled_inverse_norms`` that searches of some rows have needed; the rest are 0.

        It takes memory only for the parts written; None where all of it would take too much.
        """
        free = free_memory()
        if free is not None and _SHARE * 4 * self.num_rows > free:
            return None
        return np.zeros(self.num_rows, dtype=np.float32)

    def _computed_inverse(self, rows: np.ndarray) -> np.ndarray:
        packed = self.packed_of(rows)
        squares = np.empty(len(rows), dtype=np.float64)
        if self._gram is not None:
            engine.call("square_norms", (packed, squares), self.packing.bits, self._gram)
        else:
            decoded = self.decode(rows)
            np.einsum("nd,nd->n", decoded, decoded, out=squares, dtype=np.float64)
        return self._inverse(squares, packed)

    def _inverse(self, squares: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """Returns scaled inverse norms of rows, given their squares and their codes, packed."""
        with np.errstate(divide="ignore"):
            inverse = 1.0 / np.sqrt(np.maximum(squares, 0.0))
        inverse[self._zeros(squares, packed)] = 0.0
        return np.ldexp(inverse, -self._exponent).astype(np.float32)

    def _zeros(self, squares: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """Tells for each of some rows whether it is zero but for rounding."""
        lengths = self._codeword_lengths
        longest = lengths.max(axis=1).sum()
        short = np.flatnonzero(squares <= (_ROUNDING * longest) ** 2)
        codes = self.packing.unpack(packed[short])
        own = sum(of_group[chosen] for of_group, chosen in zip(lengths, codes.T, strict=True))
        return short[squares[short] <= (_ROUNDING * own) ** 2]

    @shared_property
    def _codeword_lengths(self) -> np.ndarray:
        """The lengths of codewords, float64 ``(M, 2**b)``."""
        squares = np.einsum("ld,ld->l", self.codewords, self.codewords, dtype=np.float64)
        return np.sqrt(squares).reshape(self.num_codebooks, -1)

    @shared_property
    def _gram(self) -> np.ndarray | None:
        """Inner products of all codewords for ``square_norms``; None if there are too many."""
        if len(self.codewords) > _MOST_GRAM_CODEWORDS:
            return None
        codewords = self.codewords.astype(np.float64)
        gram: np.ndarray = codewords @ codewords.T
        group = np.arange(len(gram)) >> self.packing.bits
        gram[group[:, None] != group] *= 2.0
        return gram

    @property
    def _codes_a_place(self) -> int:
        """Number of codes per look-up: those of a byte, where bytes hold whole codes."""
        return 8 // self.packing.bits if 8 % self.packing.bits == 0 else 1

    @property
    def _block_rows(self) -> int:
        return max(1, _BLOCK_BYTES // (4 * self.dim))

    @property
    def _scan_rows(self) -> int:
        """Rows scanned at once: all, unless their codes have to be unpacked first."""
        whole = 8 % self.packing.bits == 0 or self.packing.bits == 16
        return max(1, self.num_rows) if whole else _BLOCK_ROWS

    def _places(self, packed: np.ndarray) -> np.ndarray:
        """Returns a scan's indices into look-up tables: the packed bytes, or unpacked codes."""
        if 8 % self.packing.bits == 0:
            return packed
        if self.packing.bits == 16:
            return packed.view("<u2")
        return self.packing.unpack(packed)

    def _look_up_tables(self, query: np.ndarray) -> np.ndarray:
        """Returns the look-up tables of a scan: float32, one per column of ``_places``."""
        scaled = np.ldexp(query, self._exponent)
        products = (self.codewords @ scaled).reshape(self.num_codebooks, -1)
        together = self._codes_a_place
        if together == 1:
            return products
        num_places = self.packing.row_bytes
        padded = np.zeros((num_places * together, products.shape[1]), dtype=np.float32)
        padded[: len(products)] = products
        look_up = np.zeros((num_places, 1), dtype=np.float32)
        for place in range(together):  # codes in higher bits come later
            look_up = padded[place::together, :, None] + look_up[:, None, :]
            look_up = look_up.reshape(num_places, -1)
        return look_up
