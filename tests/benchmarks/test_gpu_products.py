"""The products that are timed are the step's, and right."""

import numpy as np
import pytest

from benchmarks.gpu_products import step_products, time_product
from nncompress.gpu import step as gpu_step
from nncompress.gpu.step import Sizes
from tests.cuda_on_cpu.runtime import EmulatedRuntime
from tests.gpu.conftest import needs_compiler


def test_their_operations_are_a_steps():
    sizes = Sizes(300, 256, 32, 16)
    operations = sum(product.operations for product in step_products(sizes, 64))
    dim, hidden, units = 300, 256, 512
    assert operations == 64 * 2 * (2 * dim * hidden + 3 * hidden * units + 3 * units * dim)


def failing(*_):
    raise RuntimeError("no product")


@needs_compiler
@pytest.mark.parametrize("batch", [64, 700])
def test_everybodys_products_are_right(monkeypatch, batch):
    monkeypatch.setattr("benchmarks.gpu_products.TILE_ROWS", 512)
    monkeypatch.setattr("benchmarks.gpu_products.seconds_of", lambda launch, *_: launch() or 1.0)
    monkeypatch.setattr("benchmarks.gpu_products._LAUNCHES", 2)
    monkeypatch.setattr(gpu_step, "_ROWS_A_PART", 100)
    sizes, runtime = Sizes(20, 24, 3, 16), EmulatedRuntime()
    kernels = runtime.load("step", VECTOR=4, FULL_PRECISION=1)
    for product in step_products(sizes, batch):
        others = [("nobody", failing, False), ("NumPy", np.dot, True)]
        times = time_product(product, sizes, runtime, kernels, others)
        assert times.rates.keys() == {"own", "NumPy"}
        assert times.reasons == {"nobody": "no product"}
        assert max(times.errors.values()) < 2e-6, product.name
