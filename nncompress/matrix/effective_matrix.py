"""The matrix that a compressed layer multiplies by, as code that looks at ``.W`` sees it."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError

F = chainer.functions


class EffectiveMatrix(chainer.Variable):
    """A computed matrix in place of a parameter: it reads like one, but cannot be written to."""

    def _set_array(self, d: np.ndarray, *, layout_check: bool = True) -> None:
        raise InputError(_WRITTEN.format("values"))

    def _set_grad(self, g: np.ndarray | None, *, layout_check: bool = True) -> None:
        if g is not None:
            raise InputError(_WRITTEN.format("gradient"))

    def _set_grad_var(self, g: chainer.Variable | None) -> None:
        if g is not None:
            raise InputError(_WRITTEN.format("gradient"))

    grad_var = property(chainer.Variable.grad_var.fget, _set_grad_var)

    def addgrad(self, var: chainer.Variable) -> None:
        """Refuses a gradient."""
        raise InputError(_WRITTEN.format("gradient"))

    def __getattr__(self, name: str) -> object:
        raise AttributeError(
            f"a matrix that is being compressed has no {name!r}; use that of {_MADE_OF}"
        )


_MADE_OF = "the parameters it is made of, which namedparams lists"
_WRITTEN = f"the {{}} of a matrix that is being compressed would be lost; set those of {_MADE_OF}"


class _View(chainer.FunctionNode):
    """A matrix in another shape; its array is read-only, on a CPU."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape

    def forward(self, inputs: tuple[np.ndarray]) -> tuple[np.ndarray]:
        (matrix,) = inputs
        self._old = matrix.shape
        view = matrix.reshape(self._shape)
        if isinstance(view, np.ndarray):
            view = view.view()
            view.flags.writeable = False
        return (view,)

    def backward(
        self, indexes: tuple[int], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable]:
        return (F.reshape(grad_outputs[0], self._old),)


def effective_matrix(matrix: chainer.Variable, shape: tuple[int, ...]) -> chainer.Variable:
    """Returns a matrix in a given shape, which refuses writes instead of silently losing them.

    Args:
        matrix: The matrix. A parameter that has the shape is returned as it is.
        shape: The shape.
    """
    if isinstance(matrix, chainer.Parameter) and matrix.shape == shape:
        return matrix
    made = _View(shape).apply((matrix,))[0]
    made.__class__ = EffectiveMatrix  # a new variable that nothing else refers to yet
    return made
