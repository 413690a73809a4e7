"""What a matrix compressor is."""

from typing import TYPE_CHECKING

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.hyperparameters import HParams

if TYPE_CHECKING:
    from nncompress.matrix.factors import Factors


class MatrixCompressorInterface:
    """Compresses a matrix A ``(m, n)`` into factors.

    A compressor of your own needs ``static_matrix_compressor``, which returns B ``(m, k)`` and C
    ``(k, n)``, or B ``(m, n)`` alone, of shapes that depend on A's shape alone; both are then
    trained, and A is replaced by their product. Register it with ``register_compressor``.

    Args:
        spec: Hyperparameters; by default those of ``get_default_hparams``.

    Attributes:
        uncompressed_size: Bytes of the last matrix that was compressed.
        compressed_size: Bytes of the factors it became, as they are stored.
    """

    def __init__(self, spec: HParams | None = None) -> None:
        self._spec = self.get_default_hparams() if spec is None else spec
        self.uncompressed_size = 0
        self.compressed_size = 0

    @staticmethod
    def get_default_hparams() -> HParams:
        """Returns what a compressor on its own is made with."""
        return HParams(
            name="model_compression",
            rank=100,
            num_rows=10,
            num_cols=10,
            block_size=1,
            pruning_fraction=0.0,
            num_codebooks=0,
            num_codewords=16,
        )

    def get_spec(self) -> HParams:
        """Returns the hyperparameters."""
        return self._spec

    def static_matrix_compressor(self, a_matrix: np.ndarray) -> list[np.ndarray]:
        """Compresses a matrix.

        Args:
            a_matrix: A, NumPy or CuPy ``(m, n)`` of float32 or float64.

        Returns:
            The factors, arrays of the same kind.

        Raises:
            InputError: The matrix is not of two dimensions, or not finite, or does not fit the
                hyperparameters.
        """
        raise NotImplementedError

    def default_matrix(self) -> np.ndarray:
        """Returns zeros ``(num_rows, num_cols)``."""
        return np.zeros((self._spec.num_rows, self._spec.num_cols), dtype=np.float32)

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> "Factors":
        """Returns a link for the factors of a matrix of this shape and type."""
        from nncompress.matrix.factors import ProductFactors, SingleFactors

        factors = self.static_matrix_compressor(np.zeros(shape, dtype=dtype))
        if len(factors) == 1:
            return SingleFactors(shape, dtype)
        if len(factors) == 2:
            return ProductFactors(shape, dtype, *(factor.shape for factor in factors))
        raise InputError(
            f"{type(self).__name__} returns {len(factors)} factors; wanted B and C, or B alone"
        )

    def _checked(self, a_matrix: np.ndarray) -> tuple[np.ndarray, object]:
        """Returns a matrix on the host, and the library it came from."""
        xp = chainer.backend.get_array_module(a_matrix)
        host = chainer.backends.cuda.to_cpu(a_matrix) if xp is not np else np.asarray(a_matrix)
        if host.ndim != 2 or 0 in host.shape or host.dtype not in (np.float32, np.float64):
            raise InputError(
                f"a matrix of shape {host.shape} and type {host.dtype}; wanted two dimensions, "
                "not empty, in float32 or float64"
            )
        if not np.isfinite(host).all():
            raise InputError("the matrix has entries that are not finite; wanted finite ones")
        return host, xp

    def _sized(self, a_matrix: np.ndarray, factors: list[np.ndarray], xp) -> list[np.ndarray]:
        """Returns factors in the library the matrix came from; takes down the sizes."""
        self.uncompressed_size = int(a_matrix.nbytes)
        self.compressed_size = int(sum(factor.nbytes for factor in factors))
        return [xp.asarray(factor) for factor in factors]


def reduced(number: int, rank: int) -> int:
    """Returns ``number * 100 / rank``, rounded up, from 1 to ``number``."""
    return max(1, min(number, -(-number * 100 // rank)))
