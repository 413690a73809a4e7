"""Links of the matrix library and of the bridge to Chainer: the same on a GPU as on the CPU."""

import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.matrix import get_apply_compression
from tests.gpu.conftest import HAS_GPU
from tests.matrix.methods import METHODS, NOW

F = chainer.functions
pytestmark = pytest.mark.skipif(not HAS_GPU, reason="there is no GPU here")

DEVICES = ("@numpy", "@cupy:0")


def to_host(array):
    return chainer.backends.cuda.to_cpu(array)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("updates", [1, 4])
def test_compressed_links_compute_and_learn_the_same(method, updates):
    found = []
    for name in DEVICES:
        random = np.random.default_rng(4)
        device = chainer.get_device(name)
        parameter = chainer.Parameter(random.normal(size=(12, 16)).astype(np.float32))
        parameter.to_device(device)
        applied = get_apply_compression(f"{METHODS[method]},{NOW}")
        made = applied.apply_compression(parameter, "test")
        for step in range(1, updates + 1):
            applied.run_update_step(step)
        x = chainer.Variable(device.send(random.normal(size=(3, 16)).astype(np.float32)))
        ids = device.send(np.array([1, 1, 7]))
        y = made.get_apply_matmul(x)
        rows = applied.get_last_compression_op().get_apply_embedding_lookup(ids)
        made.cleargrads()
        (F.sum(y * y) + F.sum(rows * rows)).backward()
        seen = {"y": y.array, "rows": rows.array, "x": x.grad}
        seen |= {path: p.grad for path, p in made.namedparams() if p.grad is not None}
        found.append({key: to_host(array) for key, array in seen.items()})
    assert_same(*found)


def test_an_embedding_of_codes_computes_and_learns_the_same():
    found = []
    for name in DEVICES:
        random = np.random.default_rng(4)
        device = chainer.get_device(name)
        codes = random.integers(16, size=(90, 5))
        embedding = CompressedEmbedding.from_codes(codes, random.normal(size=(80, 6)))
        link = embedding.to_chainer(trainable=True)
        link.to_device(device)
        rows = link(device.send(np.array([[3, 3], [8, 0]], np.int32)))
        link.cleargrads()
        F.sum(rows * rows).backward()
        seen = {path: to_host(p.grad) for path, p in link.namedparams()}
        found.append(seen | {"rows": to_host(rows.array)})
    assert_same(*found)


def test_gradients_of_chosen_rows_are_added_up():
    found = []
    for name in DEVICES:
        random = np.random.default_rng(4)
        device = chainer.get_device(name)
        table = chainer.Parameter(random.normal(size=(50, 3)).astype(np.float32))
        table.to_device(device)
        numbers = device.send(random.integers(50, size=400).astype(np.int32))
        rows = gather_rows(table, numbers)
        table.cleargrad()
        F.sum(rows**3).backward()
        found.append({"rows": to_host(rows.array), "table": to_host(table.grad)})
    assert_same(*found)
