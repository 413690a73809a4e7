"""Functions of factors by the GPU's kernels: the same as on the CPU, forward and backward."""

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.packing import Packing, bits_for
from nncompress.gpu.factors import FactorKernels
from nncompress.matrix.functions import chosen_rows, gpu_kernels, shared_blocks
from nncompress.matrix.functions.choice import Choice
from nncompress.matrix.functions.derived import DerivedArrays

F = chainer.functions


@pytest.fixture
def on_gpu(runtime, monkeypatch):
    """Has a function compute on the GPU; an emulated one takes NumPy arrays."""
    kernels = FactorKernels(runtime)

    def run(function):
        with monkeypatch.context() as patched:
            for module in (chosen_rows, chosen_rows.chosen_rows_gpu, shared_blocks):
                patched.setattr(module, "kernels_of", lambda array: kernels, raising=False)
                patched.setattr(module, "are_on_a_gpu", lambda *arrays: True, raising=False)
            return function(runtime.xp)

    return run


def to_host(array):
    return array if isinstance(array, np.ndarray) else array.get()


def learned(y, *variables):
    """Returns a result, and the gradients of variables by functions of it and of its gradients."""
    for variable in variables:
        variable.cleargrad()
    gradients = chainer.grad([F.sum(y**3)], variables, enable_double_backprop=True)
    (F.sum(y**3) + sum(F.sum(gradient**2) for gradient in gradients)).backward()
    return [to_host(array) for array in (y.array, *(variable.grad for variable in variables))]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("has_values", [False, True], ids=["ones", "values"])
@pytest.mark.parametrize("num_rows", [1, 5])
def test_rows_that_are_added_up_compute_and_learn_the_same(on_gpu, has_values, num_rows):
    def compute(xp):
        random = np.random.default_rng(2)
        count, step = (3, 0) if has_values else (4, 6)
        num_units = step * count or 11
        packing = Packing(count, bits_for(step or num_units))
        codes = random.integers(step or num_units, size=(20, count))
        choice = Choice(xp.asarray(packing.pack(codes)), packing, step, num_units, DerivedArrays())

        def variable(*shape):
            return chainer.Variable(xp.asarray(random.normal(size=shape), dtype=np.float32))

        table, x, bias = variable(num_units, 7), variable(num_rows, 7), variable(20)
        values = variable(20, count) if has_values else None
        trained = [table, values] if has_values else [table]
        y = chosen_rows.multiply(x, choice, values, table, bias)
        ids = xp.asarray([4, -1, 4, 0])
        rows = chosen_rows.look_up(choice, values, table, ids)
        return [*learned(y, x, bias, *trained), *learned(rows, *trained)]

    assert_same(on_gpu(compute), compute(np))


@pytest.mark.parametrize("block_size", [1, 2])
def test_blocks_that_are_shared_compute_and_learn_the_same(on_gpu, block_size):
    def compute(xp):
        random = np.random.default_rng(2)
        centroids = chainer.Variable(
            xp.asarray(random.normal(size=(5, block_size)), dtype=np.float32)
        )
        packed = shared_blocks.pack(random.integers(5, size=60 // block_size), 3)
        numbers = shared_blocks.Numbers(xp.asarray(packed), 3, (6, 10), block_size)
        matrix = shared_blocks.decode(centroids.array, numbers)
        rows = shared_blocks.look_up(centroids, numbers, xp.asarray([5, 0, -1]))
        whole = shared_blocks.matrix_of(centroids, numbers, matrix)
        return [to_host(matrix), *learned(rows, centroids), *learned(whole, centroids)]

    assert_same(on_gpu(compute), compute(np))


def test_kernels_are_for_float32_on_a_gpu():
    assert not gpu_kernels.are_on_a_gpu(chainer.Variable(np.zeros(3, np.float32)))
