"""The interface of a compression op, and the parameters that one may take."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError


class CompressionOpInterface(chainer.Chain):
    """A link in the place of a matrix A ``(m, n)`` in the forward pass."""

    def get_apply_matmul(self, left_operand: chainer.Variable) -> chainer.Variable:
        """Returns the left operand ``(N, n)`` times the transpose of the matrix: ``(N, m)``."""
        raise NotImplementedError

    def get_apply_embedding_lookup(self, ids: np.ndarray) -> chainer.Variable:
        """Returns rows of the matrix: n longer than the shape of ``ids``, which are integers."""
        raise NotImplementedError

    def get_apply_convolution(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        """Returns a convolution with the matrix, reshaped to ``kernel``."""
        raise NotImplementedError

    def get_apply_compression(self) -> chainer.Variable:
        """Returns the matrix, ``(m, n)``."""
        raise NotImplementedError

    def run_update_step(self, step_number: int) -> None:
        """Updates the op at a step of training.

        Args:
            step_number: The step.
        """
        raise NotImplementedError


def matrix_shape(parameter: chainer.Parameter) -> tuple[int, int]:
    """Returns the shape of a parameter as a matrix: its first dimension, and all others together.

    Raises:
        InputError: The parameter has no values yet, or less than two dimensions.
    """
    if parameter.array is None:
        raise InputError(
            f"the parameter {parameter.name!r} has no values yet; give its layer all sizes, or "
            "run the model once"
        )
    if parameter.ndim < 2:
        raise InputError(f"a parameter of shape {parameter.shape}; wanted two dimensions or more")
    if parameter.dtype not in (np.float32, np.float64):
        raise InputError(f"a parameter of type {parameter.dtype}; wanted float32 or float64")
    return parameter.shape[0], int(np.prod(parameter.shape[1:]))
