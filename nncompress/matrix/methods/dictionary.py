"""Dictionary learning: sparse codes times a dictionary."""

import numpy as np

from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.matrix.methods.dictionary_fit import learn
from nncompress.matrix.methods.interface import MatrixCompressorInterface
from nncompress.matrix.methods.sparse_factors import SparseFactors


class DLMatrixCompressor(MatrixCompressorInterface):
    """Compresses A to B C: rows of A become sums of a few rows of a dictionary C.

    The dictionary has ``int(m * 100 / rank + 1)`` rows, at most m; a row of A uses
    ``int(n * 100 / rank + 1)`` of them, at most n and at most all. The original starts with
    nearest neighbours among sampled rows and then alternates between least squares and orthogonal
    matching pursuit; this starts with the pursuit over the sampled rows.
    """

    def static_matrix_compressor(
        self, a_matrix: np.ndarray, n_iterations: int = 8
    ) -> list[np.ndarray]:
        """Returns the sparse code in rows of one length, and the dictionary.

        Args:
            a_matrix: A, NumPy or CuPy ``(m, n)`` of float32 or float64.
            n_iterations: The number of rounds, each of which fits the dictionary and finds new
                codes. With 1, the original returns its first, unfitted codes; here, every
                iteration is a whole round.

        Returns:
            Values ``(m, s)``; their columns, int32 ``(m, s)``, distinct within a row; and the
            dictionary ``(k, n)``, whose rows have norm 1. Together, compressed sparse rows in
            which row i begins at ``i*s``.

        Raises:
            InputError: The matrix does not have two dimensions or is not finite, ``n_iterations``
                is below 1, or there is not enough memory for the dictionary.
        """
        host, xp = self._checked(a_matrix)
        if n_iterations < 1:
            raise InputError(f"n_iterations is {n_iterations}; wanted at least 1")
        code, dictionary = learn(host, *self.sizes(host.shape), n_iterations, Machine().team)
        stored = self.make_factors(host.shape, host.dtype).stored_bytes
        return self._sized(host, [*code, dictionary], xp, stored)

    def sizes(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns k, the number of rows in the dictionary, and s, the number that a row uses."""
        num_rows, num_columns = (size * 100 // self._spec.rank + 1 for size in shape)
        num_atoms = min(num_rows, shape[0])
        return num_atoms, min(num_columns, num_atoms, shape[1])

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> SparseFactors:
        """Returns a link for the values and the dictionary, which are trained, and the columns."""
        return SparseFactors(shape, dtype, *self.sizes(shape))
