"""Gradients that several functions need."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer

F = chainer.functions


class FusedFunction(chainer.FunctionNode):
    """Base of functions whose gradients are computed without a graph, where none is asked for.

    Where one is, as by ``chainer.grad`` with ``enable_double_backprop=True``, they are those of
    the same function made of Chainer's own. A subclass retains all inputs but a bias, which is
    the last one and is added to each row of the result.
    """

    def backward(
        self, indexes: tuple[int, ...], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable, ...]:
        """Returns the gradients of the inputs of some indexes."""
        if is_training():
            return self._gradients_in_a_graph(indexes, *grad_outputs)
        arrays = [variable.array for variable in self.get_retained_inputs()]
        return as_variables(self._gradients(indexes, grad_outputs[0].array, *arrays), indexes)

    def _gradients(
        self, indexes: tuple[int, ...], gradient: np.ndarray, *inputs: np.ndarray
    ) -> list[np.ndarray | None]:
        """Returns the gradients of all inputs; None may stand for those not in ``indexes``."""
        raise NotImplementedError

    def _by_chainer(self, *inputs: chainer.Variable) -> chainer.Variable:
        """Returns the result without the bias, made of Chainer's functions."""
        raise NotImplementedError

    def _gradients_in_a_graph(
        self, indexes: tuple[int, ...], gradient: chainer.Variable
    ) -> tuple[chainer.Variable, ...]:
        # In variables of their own: one input may have been made of another.
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
    """The function ``x -> x``; x and its gradient lie in memory as parameters do."""

    def forward(self, inputs: tuple[np.ndarray]) -> tuple[np.ndarray]:
        return (contiguous(inputs[0]),)

    def backward(
        self, indexes: tuple[int, ...], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable, ...]:
        return _Contiguous().apply(grad_outputs)


def contiguous(array: np.ndarray) -> np.ndarray:
    """Returns an array, NumPy's or CuPy's, as one that lies row by row in memory."""
    return chainer.backend.get_array_module(array).ascontiguousarray(array)


def is_training() -> bool:
    """Tells whether what gradients need has to be kept."""
    return bool(chainer.config.enable_backprop)


def as_variables(gradients: list, indexes: tuple[int, ...]) -> tuple[chainer.Variable, ...]:
    """Returns the gradients that Chainer asks for, of those of all inputs.

    They lie in memory as parameters do: ChainerMN loses what it adds up in others.
    """
    return tuple(chainer.as_variable(contiguous(gradients[index])) for index in indexes)


def row_numbers(ids: np.ndarray, num_rows: int) -> np.ndarray:
    """Returns row numbers as kernels want them: int64, contiguous, from 0 on.

    Args:
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.
        num_rows: How many rows there are.

    Raises:
        IndexError: There is no row of such a number. (On a GPU, where asking takes long, another
            row is taken, as CuPy does it.)
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
