"""Compositional codes: rows as sums of codewords, found by this project's quantizer."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.packing import Packing, bits_for
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.matrix.functions import chosen_rows
from nncompress.matrix.functions.choice import Choice, dense
from nncompress.matrix.functions.derived import check_numbers
from nncompress.matrix.methods.interface import MatrixCompressorInterface, PairFactors
from nncompress.refinement.refine import quantize
from nncompress.refinement.room import require_room
from nncompress.sources import EmbeddingMatrix

_MOST_CHOSEN = 8_192  # codewords in total, if the number of codebooks is not given


class CompositionalFactors(PairFactors):
    """Packed codes and a codebook; the codebook is trained."""

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype, num_codebooks: int, num_codewords: int
    ) -> None:
        super().__init__(shape, dtype)
        self._num_codewords = num_codewords
        self._packing = Packing(num_codebooks, bits_for(num_codewords))
        with self.init_scope():
            self.codebook = self._parameter(num_codebooks * num_codewords, self.shape[1])
        self.add_persistent(
            "codes", np.zeros((self.shape[0], self._packing.row_bytes), dtype=np.uint8)
        )

    def left(self) -> chainer.Variable:
        """Returns a matrix with a one for each codeword that a row uses: ``(m, M*K)``."""
        return dense(self._choice(), None, slice(None), self.dtype, self.xp)

    def matmul(
        self, x: chainer.Variable, bias: chainer.Variable | None = None
    ) -> chainer.Variable:
        return chosen_rows.multiply(x, self._choice(), None, self.codebook, bias)

    def lookup(self, ids: np.ndarray) -> chainer.Variable:
        return chosen_rows.look_up(self._choice(), None, self.codebook, ids)

    def _choice(self) -> Choice:
        check_numbers(self.codes, self._packing, self._num_codewords, self.derived)
        return Choice(
            self.codes, self._packing, self._num_codewords, len(self.codebook), self.derived
        )

    def right(self) -> chainer.Variable:
        return self.codebook

    def _stored(self) -> list[np.ndarray]:
        return [self.codebook.array, self.codes]


class CompositionalMatrixCompressor(MatrixCompressorInterface):
    """Compresses each row of A to a sum of M codewords, one out of K from each of M groups.

    ``num_codebooks`` is M; 0 selects the largest M that takes at most 100/rank of A's bytes.
    ``num_codewords`` is K. Codes and codewords are found by residual quantization and refined.
    """

    def static_matrix_compressor(self, a_matrix: np.ndarray) -> list[np.ndarray]:
        """Returns the codebook ``(M*K, n)`` and packed codes, uint8 ``(m, row_bytes)``."""
        host, xp = self._checked(a_matrix)
        num_codebooks = self.num_codebooks(host.shape, host.dtype)
        rows = EmbeddingMatrix(host, "the weight matrix", tiny_rows=True)
        machine = Machine(-1 if xp is np else a_matrix.device.id)
        found = quantize(rows, num_codebooks, self._spec.num_codewords, machine=machine)
        table = CodeTable.of_codes(found.codes, found.codebook)
        factors = [found.codebook.astype(host.dtype), table.packed]
        return self._sized(host, factors, xp)

    def num_codebooks(self, shape: tuple[int, int], dtype: np.dtype) -> int:
        """Returns M.

        Raises:
            InputError: Not even one codebook fits.
        """
        k, chosen = self._spec.num_codewords, self._spec.num_codebooks
        size = np.dtype(dtype).itemsize
        allowed = size * shape[0] * shape[1] * 100 / self._spec.rank

        def stored(count: int) -> int:
            packed = Packing(count, bits_for(k)).row_bytes
            return shape[0] * packed + size * count * k * shape[1]

        if not chosen:
            while stored(chosen + 1) <= allowed and (chosen + 1) * k <= _MOST_CHOSEN:
                chosen += 1
        if not chosen:
            most = int(size * shape[0] * shape[1] * 100 // stored(1))
            rank = f"rank at most {most}, " if most > 100 else ""
            raise InputError(
                f"one codebook of num_codewords {k} takes {stored(1):,} bytes with its codes, but "
                f"rank {self._spec.rank} leaves {int(allowed):,} for a matrix of shape {shape}; "
                f"wanted {rank}fewer num_codewords, or num_codebooks set explicitly"
            )
        return chosen

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> CompositionalFactors:
        """Returns a link for the codebook, which is trained, and the codes.

        Raises:
            InputError: Not even one codebook fits, or finding the codewords would take more memory
                than is currently free.
        """
        num_codebooks, num_codewords = self.num_codebooks(shape, dtype), self._spec.num_codewords
        require_room(*shape, num_codebooks * num_codewords, Machine())
        return CompositionalFactors(shape, dtype, num_codebooks, num_codewords)
