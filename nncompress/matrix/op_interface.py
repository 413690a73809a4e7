"""The interface of a compression op, and the check of its parameter."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError

F = chainer.functions


class CompressionOpInterface(chainer.Chain):
    """A link that replaces a matrix A ``(m, n)`` in the forward pass.

    Attributes:
        scope: The matrix's name in logs and tables.
        shape: ``(m, n)``.
        method: The method's name in logs and tables.
        alpha: The share of A.
        relative_error: ``||A - compressed(A)|| / ||A||``; -1 if it is unknown.
        uncompressed_size: Bytes of A.
        compressed_size: Bytes of the factors.
        is_final: Whether A is gone.
        is_plain: Whether the matrix is A itself, the parameter ``a_matrix``.
    """

    scope: str
    shape: tuple[int, int]
    is_plain = False

    def get_apply_matmul(
        self, left_operand: chainer.Variable, bias: chainer.Variable | None = None
    ) -> chainer.Variable:
        """Returns the left operand times the transpose of the matrix.

        Args:
            left_operand: ``(n,)``, ``(N, n)`` or with more dimensions before the last.
            bias: ``(m,)``, added to each row of the product; None for none.

        Returns:
            The product: ``(m,)``, ``(N, m)`` and so on.

        Raises:
            InputError: The operand's last dimension is not n.
        """
        m, n = self.shape
        shape = left_operand.shape
        if not shape or shape[-1] != n:
            raise InputError(
                f"{self.scope}: an operand of shape {shape} for a matrix of shape {self.shape}; "
                f"wanted {n} as its last dimension"
            )
        if len(shape) == 2:
            return self._multiply(left_operand, bias)
        rows = F.reshape(left_operand, (int(np.prod(shape[:-1])), n))
        return F.reshape(self._multiply(rows, bias), (*shape[:-1], m))

    def _multiply(self, x: chainer.Variable, bias: chainer.Variable | None) -> chainer.Variable:
        """Returns x ``(N, n)`` times the transpose of the matrix, plus the bias: ``(N, m)``."""
        raise NotImplementedError

    def get_apply_embedding_lookup(self, ids: np.ndarray) -> chainer.Variable:
        """Returns rows of the matrix, ``(*ids.shape, n)``; ``ids`` are integers."""
        rows = self._rows(ids.reshape(-1))
        return rows if ids.ndim == 1 else F.reshape(rows, (*ids.shape, self.shape[1]))

    def _rows(self, ids: np.ndarray) -> chainer.Variable:
        """Returns rows of the matrix, ``(len(ids), n)``."""
        raise NotImplementedError

    def get_apply_convolution(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        """Returns a convolution with the matrix, reshaped to ``kernel``.

        Args:
            x: Images, ``(N, in, height, width)``.
            kernel: ``(out, in, height, width)``.
            options: Options of ``F.convolution_2d``, including its bias ``b``.
        """
        raise NotImplementedError

    def get_apply_compression(self) -> chainer.Variable:
        """Returns the matrix, ``(m, n)``."""
        raise NotImplementedError

    def run_scheduled_update(self, step_number: int) -> None:
        """Updates the op after an iteration, called by the trainer's extension.

        Args:
            step_number: The training step.
        """
        raise NotImplementedError

    def run_update_step(self, step_number: int) -> None:
        """Updates the op, called by the user.

        Args:
            step_number: The training step.
        """
        raise NotImplementedError

    def finalize(self) -> None:
        """Drops A and all state that is only needed during training.

        Raises:
            InputError: Alpha is above 0.
        """
        raise NotImplementedError

    def drop_matrix(self) -> None:
        """Drops A whatever alpha is, leaving only the factors, so a final model can be loaded."""
        raise NotImplementedError


def matrix_shape(parameter: chainer.Parameter) -> tuple[int, int]:
    """Returns a parameter's shape as a matrix: its first dimension, and the product of the rest.

    Raises:
        InputError: The parameter has no values yet, fewer than two dimensions, or a type other
            than float32 and float64.
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
