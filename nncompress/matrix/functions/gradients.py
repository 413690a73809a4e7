"""Base class and helpers for functions with hand-written gradients."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer

F = chainer.functions


class FusedFunction(chainer.FunctionNode):
    """Base of functions whose gradients are computed without a graph, unless one is requested.

    If a graph is requested, as by ``chainer.grad`` with ``enable_double_backprop=True``, the
    gradients are those of the same function built from Chainer's own functions. A subclass retains
    all inputs except a bias, which is the last input and is added to each row of the result.
    """

    def backward(
        self, indexes: tuple[int, ...], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable, ...]:
        """Returns the gradients of the inputs with the given indexes."""
        if is_training():
            return self._gradients_in_a_graph(indexes, *grad_outputs)
        arrays = [variable.array for variable in self.get_retained_inputs()]
        return as_variables(self._gradients(indexes, grad_outputs[0].array, *arrays), indexes)

    def _gradients(
        self, indexes: tuple[int, ...], gradient: np.ndarray, *inputs: np.ndarray
    ) -> list[np.ndarray | None]:
        """Returns the gradients of all inputs; those not in ``indexes`` may be None."""
        raise NotImplementedError

    def _by_chainer(self, *inputs: chainer.Variable) -> chainer.Variable:
        """Returns the result without the bias, computed with Chainer's functions."""
        raise NotImplementedError

    def _gradients_in_a_graph(
        self, indexes: tuple[int, ...], gradient: chainer.Variable
    ) -> tuple[chainer.Variable, ...]:
        # As separate variables: one input may have been computed from another.
        inputs = [_Contiguous().apply((one,))[0] for one in self.get_retained_inputs()]
        chosen = [index for index in indexes if index < len(inputs)]
        found: dict[int, chainer.Variable] = {}
        if chosen:
            gradients = chainer.grad(
                [self._by_chainer(*inputs)], [inputs[index] for index in chosen], [gradient],
                enable_double_backprop=True,
            )  # fmt: skip
            found = dict(zip(chosen, gradients, strict=True))
        return tuple(found[i] if i in found else F.sum(gradient, axis=0) for i in indexes)


class _Contiguous(chainer.FunctionNode):
    """The function ``x -> x``; x and its gradient are C-contiguous, as parameters are."""

    def forward(self, inputs: tuple[np.ndarray]) -> tuple[np.ndarray]:
        return (contiguous(inputs[0]),)

    def backward(
        self, indexes: tuple[int, ...], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable, ...]:
        return _Contiguous().apply(grad_outputs)


def contiguous(array: np.ndarray) -> np.ndarray:
    """Returns a NumPy or CuPy array as a C-contiguous one."""
    return chainer.backend.get_array_module(array).ascontiguousarray(array)


def is_training() -> bool:
    """Tells whether inputs have to be kept for gradients."""
    return bool(chainer.config.enable_backprop)


def as_variables(gradients: list, indexes: tuple[int, ...]) -> tuple[chainer.Variable, ...]:
    """Selects the gradients that Chainer asks for from those of all inputs.

    They are C-contiguous, as parameters are: in other arrays, ChainerMN would lose its sums.
    """
    return tuple(chainer.as_variable(contiguous(gradients[index])) for index in indexes)


def row_numbers(ids: np.ndarray, num_rows: int) -> np.ndarray:
    """Returns row numbers in the form kernels take: int64, contiguous, nonnegative.

    Args:
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.
        num_rows: The number of rows.

    Raises:
        IndexError: A row number is out of range. (On a GPU, where checking is slow, the number
            wraps around instead, as in CuPy.)
    """
    xp = chainer.backend.get_array_module(ids)
    numbers = xp.ascontiguousarray(ids, dtype=np.int64)
    if xp is not np:
        return numbers % num_rows
    if (numbers.view(np.uint64) >= num_rows).any():  # negative ones are large then
        bad = (numbers < -num_rows) | (numbers >= num_rows)
        if bad.any():
            raise IndexError(
                f"there is no row {numbers[bad][0]}; wanted {-num_rows} to {num_rows - 1}"
            )
        numbers = numbers % num_rows
    return numbers
