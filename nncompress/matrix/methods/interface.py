"""The interface of a method: a compressor, and the link that holds its factors.

Factors represent a compressed matrix of the same shape ``(m, n)`` as the original matrix A. They
are links that know what is trained, what is stored, and how to multiply, look up and convolve.
"""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.errors import InputError
from nncompress.matrix.functions import low_rank
from nncompress.matrix.functions.derived import DerivedArrays
from nncompress.matrix.hyperparameters import HParams

F = chainer.functions


class Factors(chainer.Link):
    """Base of all factors; by default its methods form the compressed matrix.

    Args:
        shape: A's shape, ``(m, n)``.
        dtype: A's type, float32 or float64.

    Attributes:
        derived: A cache of arrays that speed up products, computed from stored ones.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.derived = DerivedArrays()

    def assign(self, factors: list[np.ndarray]) -> None:
        """Sets the factors to those that a compressor returned.

        Args:
            factors: Arrays with the shapes and in the order of the stored ones.

        Raises:
            InputError: A factor has another shape.
        """
        self.derived.clear()
        for mine, given in zip(self._stored(), factors, strict=True):
            if mine.shape != given.shape:
                raise InputError(
                    f"expected a factor of shape {mine.shape}, got {given.shape}; shapes may "
                    "depend on the matrix's shape alone"
                )
            mine[...] = given

    def matrix(self) -> chainer.Variable:
        """Returns the compressed matrix, ``(m, n)``."""
        raise NotImplementedError

    def matmul(
        self, x: chainer.Variable, bias: chainer.Variable | None = None
    ) -> chainer.Variable:
        """Returns x ``(N, n)`` times the transpose of the compressed matrix: ``(N, m)``.

        Args:
            x: The left operand.
            bias: ``(m,)``, added to each row of the result; None for none.
        """
        return F.linear(x, self.matrix(), bias)

    def lookup(self, ids: np.ndarray) -> chainer.Variable:
        """Returns rows of the compressed matrix, ``(len(ids), n)``."""
        return gather_rows(self.matrix(), ids)

    def convolve(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        """Returns a convolution with the compressed matrix, reshaped to ``kernel``."""
        return F.convolution_2d(x, F.reshape(self.matrix(), kernel), **options)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all stored arrays."""
        return sum(int(array.nbytes) for array in self._stored())

    def _stored(self) -> list[np.ndarray]:
        """Returns the stored arrays, in the order of the compressor's factors."""
        raise NotImplementedError

    def _parameter(self, *shape: int) -> chainer.Parameter:
        return chainer.Parameter(np.zeros(shape, dtype=self.dtype))

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Writes or reads the stored arrays."""
        if not isinstance(serializer, chainer.Serializer):  # it is reading
            self.derived.clear()
        super().serialize(serializer)

    def copyparams(self, link: chainer.Link, copy_persistent: bool = True) -> None:
        """Copies the stored arrays from another link."""
        self.derived.clear()
        super().copyparams(link, copy_persistent)

    def device_resident_accept(self, visitor: object) -> None:
        """Moves the stored arrays to a device."""
        self.derived.clear()
        super().device_resident_accept(visitor)

    def __getstate__(self) -> dict[str, object]:
        """Returns the state for copies, without derived arrays."""
        return self.__dict__ | {"derived": DerivedArrays()}


class PairFactors(Factors):
    """Base of factors whose matrix is a product of two; convolution does not form the product."""

    def left(self) -> chainer.Variable:
        """Returns the left factor, ``(m, k)``."""
        raise NotImplementedError

    def right(self) -> chainer.Variable:
        """Returns the right factor, ``(k, n)``."""
        raise NotImplementedError

    def matrix(self) -> chainer.Variable:
        return F.matmul(self.left(), self.right())

    def convolve(
        self,
        x: chainer.Variable,
        kernel: tuple[int, ...],
        b: chainer.Variable | None = None,
        **options: object,
    ) -> chainer.Variable:
        right = self.right()
        inner = F.convolution_2d(x, F.reshape(right, (len(right), *kernel[1:])), **options)
        return F.convolution_2d(inner, F.reshape(self.left(), (kernel[0], len(right), 1, 1)), b)


class ProductFactors(PairFactors):
    """B ``(m, k)`` and C ``(k, n)``, both trained."""

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype,
        b_shape: tuple[int, int],
        c_shape: tuple[int, int],
    ) -> None:
        super().__init__(shape, dtype)
        if (b_shape[0], c_shape[1]) != self.shape or b_shape[1] != c_shape[0]:
            raise InputError(
                f"factors of shapes {b_shape} and {c_shape} do not multiply to a matrix of shape "
                f"{shape}"
            )
        with self.init_scope():
            self.b_matrix = self._parameter(*b_shape)
            self.c_matrix = self._parameter(*c_shape)

    def left(self) -> chainer.Variable:
        return self.b_matrix

    def right(self) -> chainer.Variable:
        return self.c_matrix

    def matmul(
        self, x: chainer.Variable, bias: chainer.Variable | None = None
    ) -> chainer.Variable:
        return low_rank.multiply(x, self.b_matrix, self.c_matrix, bias)

    def lookup(self, ids: np.ndarray) -> chainer.Variable:
        return low_rank.look_up(self.b_matrix, self.c_matrix, ids)

    def _stored(self) -> list[np.ndarray]:
        return [self.b_matrix.array, self.c_matrix.array]


class SingleFactors(Factors):
    """A single factor B ``(m, n)``, trained."""

    def __init__(self, shape: tuple[int, int], dtype: np.dtype) -> None:
        super().__init__(shape, dtype)
        with self.init_scope():
            self.b_matrix = self._parameter(*shape)

    def matrix(self) -> chainer.Variable:
        return self.b_matrix

    def _stored(self) -> list[np.ndarray]:
        return [self.b_matrix.array]


class MatrixCompressorInterface:
    """Compresses a matrix A ``(m, n)`` into factors.

    A custom compressor has to implement ``static_matrix_compressor``, which returns B ``(m, k)``
    and C ``(k, n)``, or just B ``(m, n)``, with shapes that depend only on A's shape; the factors
    are then trained, and A is replaced by their product. Register the class with
    ``register_compressor``.

    Args:
        spec: Hyperparameters; by default those of ``get_default_hparams``.

    Attributes:
        uncompressed_size: Bytes of the most recently compressed matrix.
        compressed_size: Bytes of its factors, as stored.
    """

    def __init__(self, spec: HParams | None = None) -> None:
        self._spec = self.get_default_hparams() if spec is None else spec
        self.uncompressed_size = 0
        self.compressed_size = 0

    @staticmethod
    def get_default_hparams() -> HParams:
        """Returns the hyperparameters for using a compressor on its own."""
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
            The factors, as arrays of the same library.

        Raises:
            InputError: The matrix does not have two dimensions, is not finite, or does not fit
                the hyperparameters.
        """
        raise NotImplementedError

    def default_matrix(self) -> np.ndarray:
        """Returns zeros ``(num_rows, num_cols)``."""
        return np.zeros((self._spec.num_rows, self._spec.num_cols), dtype=np.float32)

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> Factors:
        """Returns a link for the factors of a matrix.

        Args:
            shape: The matrix's shape, ``(m, n)``.
            dtype: Its type, float32 or float64.

        Raises:
            InputError: The compressor returns neither B and C nor just B, or the shape does not
                fit the hyperparameters.
        """
        factors = self.static_matrix_compressor(np.zeros(shape, dtype=dtype))
        if len(factors) == 1:
            return SingleFactors(shape, dtype)
        if len(factors) == 2:
            return ProductFactors(shape, dtype, *(factor.shape for factor in factors))
        raise InputError(
            f"{type(self).__name__} returns {len(factors)} factors; wanted B and C, or B alone"
        )

    def _checked(self, a_matrix: np.ndarray) -> tuple[np.ndarray, object]:
        """Returns a matrix on the host, and the array library it came from."""
        xp = chainer.backend.get_array_module(a_matrix)
        host = chainer.backends.cuda.to_cpu(a_matrix) if xp is not np else np.asarray(a_matrix)
        if host.ndim != 2 or 0 in host.shape or host.dtype not in (np.float32, np.float64):
            raise InputError(
                f"a matrix of shape {host.shape} and type {host.dtype}; wanted a nonempty matrix "
                "of two dimensions, in float32 or float64"
            )
        if not np.isfinite(host).all():
            raise InputError(
                "the matrix has entries that are not finite; if they come from training, lower "
                "the learning rate"
            )
        return host, xp

    def _sized(
        self,
        a_matrix: np.ndarray,
        factors: list[np.ndarray],
        xp,
        compressed_size: int | None = None,
    ) -> list[np.ndarray]:
        """Returns factors in the library that the matrix came from, and records the sizes.

        Args:
            a_matrix: The matrix.
            factors: Its factors.
            xp: The library.
            compressed_size: Bytes of the factors as stored; None if they are stored unchanged.
        """
        self.uncompressed_size = int(a_matrix.nbytes)
        if compressed_size is None:
            compressed_size = sum(int(factor.nbytes) for factor in factors)
        self.compressed_size = compressed_size
        return [xp.asarray(factor) for factor in factors]
