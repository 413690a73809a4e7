import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows, spread_columns

F = chainer.functions


@pytest.mark.parametrize("shape", [(), (4,), (7,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_chosen_and_their_gradients_added_up(random, shape, dtype):
    numbers = random.integers(5, size=shape).astype(np.int32)
    factor = random.normal(size=(*shape, 3)).astype(dtype)
    table = chainer.Parameter(np.arange(15, dtype=dtype).reshape(5, 3))
    rows = gather_rows(table, numbers)
    assert (rows.array == table.array[numbers]).all()
    table.cleargrad()
    F.sum(rows * factor).backward()
    expected = np.zeros((5, 3))
    np.add.at(expected, numbers.reshape(-1), factor.reshape(-1, 3))
    np.testing.assert_allclose(table.grad, expected, rtol=1e-5)
    assert table.grad.dtype == dtype


@pytest.mark.parametrize(("kind", "num_rows"), [(np.uint8, 256), (np.uint16, 65_536)])
def test_numbers_may_be_of_a_type_that_holds_them_just(random, kind, num_rows):
    numbers = random.integers(num_rows, size=500).astype(kind)
    table = chainer.Parameter(np.zeros((num_rows, 2), np.float32))
    table.cleargrad()
    F.sum(gather_rows(table, numbers)).backward()
    expected = np.bincount(numbers, minlength=num_rows)
    np.testing.assert_array_equal(table.grad, np.stack([expected, expected], axis=1))


def test_choosing_rows_and_its_reverse_have_the_second_gradients_of_chainers_functions(random):
    numbers, columns = random.integers(-5, 5, size=(3, 4)), np.array([[2, 0], [1, 3], [0, 3]])
    zeros, places = np.zeros((3, 4)), (np.arange(3)[:, None], columns)
    for function, plain, shape in (
        (lambda v: gather_rows(v, numbers), lambda v: v[numbers], (5, 6)),
        (
            lambda v: spread_columns(v, columns, 4),
            lambda v: F.scatter_add(zeros, places, v),
            (3, 2),
        ),
    ):
        x, found = chainer.Parameter(random.normal(size=shape)), []
        for one in (function, plain):
            x.cleargrad()
            gradient = chainer.grad([F.sum(F.tanh(one(x)))], [x], enable_double_backprop=True)[0]
            F.sum(gradient**3).backward()
            found.append(x.grad)
        np.testing.assert_allclose(*found, rtol=1e-12)
