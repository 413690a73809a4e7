"""The base of compression ops whose factors are trained from scratch, without an alpha."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.hyperparameters import CompressionHParams
from nncompress.matrix.op_interface import CompressionOpInterface, matrix_shape

F = chainer.functions


class ScratchCompressionOp(CompressionOpInterface):
    """Factors that replace a matrix A, which is dropped at the start and plays no part.

    A subclass creates its parameters in ``_make_parameters``.

    Args:
        spec: Hyperparameters.
        a_matrix: A, a parameter ``(m, n)``; if it has more dimensions, all but the first are
            flattened into one. Only its shape and type are used.
        scope: The matrix's name in logs and tables.

    Raises:
        InputError: Block sizes or factors do not divide the sizes evenly.
    """

    alpha, relative_error, is_final = 0.0, -1.0, True

    def __init__(
        self,
        spec: CompressionHParams,
        a_matrix: chainer.Parameter,
        scope: str = "default_scope",
    ) -> None:
        super().__init__()
        self.scope, self.shape, self._spec = scope, matrix_shape(a_matrix), spec
        self.dtype = a_matrix.dtype
        with self.init_scope():
            self._make_parameters()
        self.uncompressed_size = int(a_matrix.array.nbytes)
        self.compressed_size = sum(int(parameter.array.nbytes) for parameter in self.params())

    def _make_parameters(self) -> None:
        """Creates the parameters for a matrix of ``self.shape`` and ``self.dtype``."""
        raise NotImplementedError

    def _uniform(self, limit: float, *shape: int) -> chainer.Parameter:
        """Returns a parameter with values between -limit and limit.

        They come from NumPy's global random generator, like the initial values of Chainer's links.
        """
        values = np.random.uniform(-limit, limit, shape)
        return chainer.Parameter(values.astype(self.dtype))

    def run_scheduled_update(self, step_number: int) -> None:
        """Does nothing: there is no alpha."""

    def run_update_step(self, step_number: int) -> None:
        """Does nothing: there is no alpha."""

    def finalize(self) -> None:
        """Does nothing: A is gone already."""

    def drop_matrix(self) -> None:
        """Does nothing: A is gone already."""

    def get_apply_compression(self) -> chainer.Variable:
        return self._rows(self.xp.arange(self.shape[0]))

    def get_apply_convolution(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        return F.convolution_2d(x, F.reshape(self.get_apply_compression(), kernel), **options)


def divided(name: str, divisor: int, **sizes: int) -> list[int]:
    """Returns sizes divided by a hyperparameter.

    Args:
        name: The hyperparameter's name.
        divisor: Its value.
        sizes: Sizes by their names.

    Raises:
        InputError: The hyperparameter does not divide one of them.
    """
    for size_name, size in sizes.items():
        if size % divisor:
            raise InputError(
                f"{name} is {divisor}; wanted a number that divides the {size} {size_name} of the "
                "matrix"
            )
    return [size // divisor for size in sizes.values()]
