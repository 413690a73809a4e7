import numpy as np
import pytest

from nncompress.chainer_compat import chainer
from nncompress.gather_rows import gather_rows

F = chainer.functions


@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_and_gradients_are_those_of_embed_id(random, shape, dtype):
    numbers = random.integers(5, size=shape).astype(np.int32)
    factor = random.normal(size=(*shape, 3)).astype(dtype)
    gradients = []
    for choose in (gather_rows, lambda table, ids: F.embed_id(ids, table)):
        table = chainer.Parameter(np.arange(15, dtype=dtype).reshape(5, 3))
        rows = choose(table, numbers)
        assert (rows.array == table.array[numbers]).all()
        table.cleargrad()
        F.sum(rows * rows * factor).backward()
        gradients.append(table.grad)
        assert table.grad.dtype == dtype
    np.testing.assert_allclose(*gradients, rtol=1e-5)
