"""Dictionary learning: sparse codes times a dictionary."""

import warnings

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows, spread_columns
from nncompress.matrix.methods.interface import (
    MatrixCompressorInterface,
    PairFactors,
    reduced,
)

_SEED = 15
_ROUNDS = 3


class SparseFactors(PairFactors):
    """Sparse codes in rows of one length, and a dictionary; the columns of the codes are kept."""

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype, num_atoms: int, count: int
    ) -> None:
        super().__init__(shape, dtype)
        with self.init_scope():
            self.values = self._parameter(self.shape[0], count)
            self.dictionary = self._parameter(num_atoms, self.shape[1])
        self.add_persistent("columns", np.zeros((self.shape[0], count), dtype=np.int32))

    def left(self, ids: np.ndarray | None = None) -> chainer.Variable:
        values = self.values if ids is None else gather_rows(self.values, ids)
        columns = self.columns if ids is None else self.columns[ids]
        return spread_columns(values, columns, len(self.dictionary))

    def right(self) -> chainer.Variable:
        return self.dictionary

    def _stored(self) -> list[np.ndarray]:
        return [self.values.array, self.columns, self.dictionary.array]


class DLMatrixCompressor(MatrixCompressorInterface):
    """Compresses A to B C: rows of A as sums of a few rows of a dictionary C.

    The dictionary has ``ceil(m * 100 / rank)`` rows, first sampled from A, then fitted to the
    codes by least squares; a row of A uses ``100 / rank`` of them, rounded up, found by orthogonal
    matching pursuit (Pati, Rezaiifar and Krishnaprasad, 1993; scikit-learn's). Needs scikit-learn.
    """

    def static_matrix_compressor(self, a_matrix: np.ndarray) -> list[np.ndarray]:
        """Returns the sparse code in rows of one length, and the dictionary.

        Returns:
            Values ``(m, s)``, their columns, int32 ``(m, s)``, and the dictionary ``(k, n)``:
            compressed sparse rows whose row i begins at ``i*s``.
        """
        host, xp = self._checked(a_matrix)
        m = len(host)
        k, s = self.sizes(host.shape)
        a = host.astype(np.float64)
        random = np.random.default_rng(_SEED)
        dictionary = a[np.sort(random.permutation(m)[:k])]
        for _ in range(_ROUNDS):
            dictionary = _unit_rows(dictionary)
            code = _pursue(a, dictionary, s)
            dictionary = dictionary + np.linalg.lstsq(code, a - code @ dictionary, rcond=None)[0]
        dictionary = _unit_rows(dictionary)
        code = _pursue(a, dictionary, s)
        columns = np.argsort(code == 0, axis=1, kind="stable")[:, :s]
        values = np.take_along_axis(code, columns, axis=1)
        factors = [
            values.astype(host.dtype),
            columns.astype(np.int32),
            dictionary.astype(host.dtype),
        ]
        return self._sized(host, factors, xp)

    def sizes(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns k, the rows of the dictionary, and s, how many of them a row uses."""
        k = reduced(shape[0], self._spec.rank)
        return k, min(reduced(k, self._spec.rank), shape[1])

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> SparseFactors:
        """Returns a link for values and dictionary, which are trained, and columns."""
        return SparseFactors(shape, dtype, *self.sizes(shape))


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def _pursue(a: np.ndarray, dictionary: np.ndarray, count: int) -> np.ndarray:
    """Returns codes ``(m, k)`` with at most ``count`` entries in a row."""
    from sklearn.linear_model import orthogonal_mp_gram

    used = np.flatnonzero(np.linalg.norm(dictionary, axis=1) > 0)
    code = np.zeros((len(a), len(dictionary)))
    rows = np.flatnonzero(np.linalg.norm(a, axis=1) > 0)
    if not len(used) or not len(rows):
        return code
    # The same row twice would make the equations singular: one of them is enough.
    _, first = np.unique(np.round(dictionary[used], 12), axis=0, return_index=True)
    used = used[np.sort(first)]
    atoms, wanted = dictionary[used], a[rows]
    with warnings.catch_warnings():
        # A row may need fewer atoms than it is given, and ends sooner.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = orthogonal_mp_gram(
            atoms @ atoms.T, atoms @ wanted.T, n_nonzero_coefs=min(count, len(used))
        )
    code[np.ix_(rows, used)] = np.atleast_2d(found.reshape(len(used), -1).T)
    return code
