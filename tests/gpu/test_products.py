"""Matrix products of the project's own against NumPy's, in float64."""

import numpy as np
import pytest

from nncompress.gpu.products import (
    TILES,
    Ending,
    Form,
    Product,
    choose_tile,
    product_launch,
)
from tests.cuda_on_cpu.runtime import ORDERS, EmulatedRuntime
from tests.gpu.conftest import needs_compiler

PRECISIONS = {"TF32": (0, 1e-3), "float32": (1, 2e-6)}
SIZES = [(72, 100, 148), (1, 4, 4), (200, 132, 24), (16, 32, 516)]  # m, n, k


def operands(random, form, m, n, k):
    shapes = {
        Form.ROWS_BY_ROWS: ((m, k), (n, k)),
        Form.ROWS_BY_COLUMNS: ((m, k), (k, n)),
        Form.COLUMNS_BY_COLUMNS: ((k, m), (k, n)),
    }
    first, second = (random.normal(size=shape).astype(np.float32) for shape in shapes[form])
    left = first.T if form == Form.COLUMNS_BY_COLUMNS else first
    right = second.T if form == Form.ROWS_BY_ROWS else second
    return first, second, left.astype(np.float64) @ right


def distance(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.kernel)
@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("size", SIZES)
def test_products_are_numpys(runtime, to_host, random, precision, tile, form, size):
    full, tolerance = PRECISIONS[precision]
    kernels = runtime.load("step", VECTOR=4, FULL_PRECISION=full)
    m, n, k = size
    if form == Form.COLUMNS_BY_COLUMNS:
        m = -(-m // 4) * 4  # copies of four numbers go along m
    first, second, wanted = operands(random, form, m, n, k)
    out = runtime.xp.full((m, n), np.nan, np.float32)
    arrays = [runtime.xp.asarray(array) for array in (first, second)]
    kernels.launch(*product_launch([Product(form, (m, n, k), *arrays, out)], tile))
    assert distance(to_host(out), wanted) < tolerance


@pytest.mark.parametrize("vector", [1, 2])
def test_rows_of_any_length_can_be_multiplied(runtime, to_host, random, vector):
    kernels = runtime.load("step", VECTOR=vector, FULL_PRECISION=1)
    m, n, k = 37, 15 * vector, 23 * vector
    first, second, wanted = operands(random, Form.ROWS_BY_COLUMNS, m, n, k)
    out = runtime.xp.empty((m, n), np.float32)
    arrays = [runtime.xp.asarray(array) for array in (first, second)]
    product = Product(Form.ROWS_BY_COLUMNS, (m, n, k), *arrays, out)
    kernels.launch(*product_launch([product], TILES[-1]))
    assert distance(to_host(out), wanted) < 2e-6


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.kernel)
def test_parts_of_a_product_add_up_with_what_was_there(runtime, to_host, random, tile):
    kernels = runtime.load("step", VECTOR=4, FULL_PRECISION=1)
    m, n, k, parts = 36, 40, 300, 3
    first, second, wanted = operands(random, Form.COLUMNS_BY_COLUMNS, m, n, k)
    there = random.normal(size=(parts, m * n + m)).astype(np.float32)
    out = runtime.xp.array(there)
    flat = out.reshape(-1)
    arrays = [runtime.xp.asarray(array) for array in (first, second)]
    product = Product(
        Form.COLUMNS_BY_COLUMNS, (m, n, k), *arrays, flat, parts=parts, out_stride=m * n + m,
        sums=flat[m * n :], adding=True,
    )  # fmt: skip
    kernels.launch(*product_launch([product], tile))
    added = (to_host(out) - there.astype(np.float64)).sum(axis=0)
    assert distance(added[: m * n].reshape(m, n), wanted) < 2e-6
    np.testing.assert_allclose(added[m * n :], first.sum(axis=0), atol=1e-4)


def test_two_products_in_one_launch_do_not_meet(runtime, to_host, random):
    kernels = runtime.load("step", VECTOR=4, FULL_PRECISION=1)
    cases = [(Form.ROWS_BY_ROWS, 60, 200, 44), (Form.COLUMNS_BY_COLUMNS, 100, 36, 60)]
    products, results, wanted = [], [], []
    for form, m, n, k in cases:
        first, second, expected = operands(random, form, m, n, k)
        results.append(runtime.xp.full((m, n), np.nan, np.float32))
        arrays = [runtime.xp.asarray(array) for array in (first, second)]
        products.append(Product(form, (m, n, k), *arrays, results[-1]))
        wanted.append(expected)
    for tile in TILES:
        kernels.launch(*product_launch(products, tile))
        for result, expected in zip(results, wanted, strict=True):
            assert distance(to_host(result), expected) < 2e-6
            result[...] = np.nan


def test_endings_are_the_formulas(runtime, to_host, random):
    kernels = runtime.load("step", VECTOR=4, FULL_PRECISION=1)
    m, n, k = 50, 60, 20
    first, second, value = operands(random, Form.ROWS_BY_ROWS, m, n, k)
    value /= 8
    first /= 8
    bias = random.normal(size=n).astype(np.float32)
    other = random.normal(size=(m, n)).astype(np.float32)
    factors = random.exponential(size=m).astype(np.float32)
    residual = value - other
    wanted = {
        Ending.PLAIN: value,
        Ending.HIDDEN: np.tanh(value + bias),
        Ending.RESIDUAL: residual * factors[:, None] * 0.25,
        Ending.HIDDEN_GRADIENT: value * (1 - other.astype(np.float64) ** 2),
    }
    send = runtime.xp.asarray
    for ending, expected in wanted.items():
        for tile in TILES:
            out = runtime.xp.full((m, n), np.nan, np.float32)
            squares = runtime.xp.zeros((64, 2))
            arrays = send(first), send(second), send(bias), send(other), send(factors)
            product = Product(
                Form.ROWS_BY_ROWS, (m, n, k), arrays[0], arrays[1], out, ending,
                bias=arrays[2], other=arrays[3], factors=arrays[4], squares=squares, scale=0.25,
            )  # fmt: skip
            kernels.launch(*product_launch([product], tile))
            assert distance(to_host(out), expected) < 2e-6
            if ending == Ending.RESIDUAL:
                sums = (residual**2).sum(), (factors[:, None] * residual**2).sum()
                np.testing.assert_allclose(to_host(squares).sum(axis=0), sums, rtol=1e-6)


@needs_compiler
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.kernel)
def test_the_order_of_threads_changes_no_bit(random, tile):
    m, n, k = 40, 72, 200
    first, second, _ = operands(random, Form.ROWS_BY_COLUMNS, m, n, k)
    results = []
    for order in ORDERS:
        kernels = EmulatedRuntime(order).load("step", VECTOR=4, FULL_PRECISION=0)
        out = np.empty((m, n), np.float32)
        product = Product(Form.ROWS_BY_COLUMNS, (m, n, k), first, second, out)
        kernels.launch(*product_launch([product], tile))
        results.append(out.tobytes())
    assert len(set(results)) == 1


def test_small_products_get_small_tiles():
    one = [Product(Form.ROWS_BY_ROWS, (64, 256, 300), None, None, None)]
    many = [Product(Form.ROWS_BY_ROWS, (16_384, 512, 256), None, None, None)]
    kernels = [choose_tile(products, 227 << 10, 132).kernel for products in (one, many)]
    assert kernels == ["products_small", "products_large"]
    # A GPU of 64 KiB a block has no room for the largest.
    assert choose_tile(many, 64 << 10, 40).kernel == "products_medium"
