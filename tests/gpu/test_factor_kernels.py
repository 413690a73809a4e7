"""The kernels of factors on a GPU against plain formulas."""

import numpy as np
import pytest

from nncompress.embedding.packing import Packing, bits_for
from nncompress.gpu.factors import Codes, FactorKernels
from nncompress.matrix.functions import shared_blocks
from tests.cuda_on_cpu.runtime import ORDERS, EmulatedRuntime
from tests.gpu.conftest import needs_compiler

# Rows and columns of a matrix, units in all, of a row, and how far the places of a row are apart:
# sparse codes of one column and of many, compositional codes of 1 to 17 bits, and rows of more
# units than a block has threads.
SIZES = [
    (5, 1, 9, 4, 0),
    (30, 150, 70, 12, 0),
    (7, 20, 2 * 3, 3, 2),
    (9, 33, 11 * 5, 5, 11),
    (4, 6, 2 * 130, 130, 2),
]
MANY_UNITS = (3, 2, 70_000, 2, 0)


class Problem:
    """Codes, values and a table, and the matrix that they stand for."""

    def __init__(self, xp, size, with_values):
        self.num_rows, self.dim, num_units, count, step = size
        random = np.random.default_rng(3)
        codes = random.integers(step or num_units, size=(self.num_rows, count))
        units = codes + np.arange(count) * step
        packing = Packing(count, bits_for(step or num_units))
        self.table = random.normal(size=(num_units, self.dim)).astype(np.float32)
        self.values = random.normal(size=units.shape).astype(np.float32) if with_values else None
        shares = np.ones(units.shape) if self.values is None else self.values
        self.left = np.zeros((self.num_rows, num_units))
        np.add.at(self.left, (np.arange(self.num_rows)[:, None], units), shares)
        self.units, self.shares = units, shares
        self.random = random
        self.send = lambda array: None if array is None else xp.asarray(array)
        self.codes = Codes(self.send(packing.pack(codes)), packing.bits, step, count)

    def normal(self, *shape):
        return self.random.normal(size=shape).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["ones", "values"])
def with_values(request):
    return request.param


@pytest.mark.parametrize("size", [*SIZES, MANY_UNITS])
def test_rows_are_looked_up(runtime, to_host, size, with_values):
    p = Problem(runtime.xp, size, with_values)
    ids = p.random.integers(p.num_rows, size=6)
    rows = FactorKernels(runtime).look_up(p.codes, p.send(p.values), p.send(p.table), p.send(ids))
    np.testing.assert_allclose(to_host(rows), (p.left @ p.table)[ids], atol=2e-4)
    none = FactorKernels(runtime).look_up(
        p.codes, p.send(p.values), p.send(p.table), p.send(ids[:0])
    )
    assert none.shape == (0, p.dim)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_columns", [1, 8, 19])
def test_products_are_added_up(runtime, to_host, size, with_values, num_columns):
    p = Problem(runtime.xp, size, with_values)
    products, bias = p.normal(len(p.table), num_columns), p.normal(p.num_rows)
    for given in (bias, None):
        out = FactorKernels(runtime).multiply(
            p.codes, p.send(p.values), p.send(products), p.send(given)
        )
        expected = (p.left @ products).T + (0 if given is None else given)
        np.testing.assert_allclose(to_host(out), expected, atol=2e-4)


@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_those_of_the_sums(runtime, to_host, size, with_values):
    p = Problem(runtime.xp, size, with_values)
    ids = p.random.integers(p.num_rows, size=3)
    of_rows = p.normal(3, p.dim)
    of_table, of_values = FactorKernels(runtime).gradients(
        p.codes, *map(p.send, (p.values, p.table, ids, of_rows))
    )
    np.testing.assert_allclose(to_host(of_table), p.left[ids].T @ of_rows, atol=2e-4)
    if with_values:
        expected = np.zeros(p.values.shape)
        products = np.einsum("lsn,ln->ls", p.table[p.units[ids]].astype(float), of_rows)
        np.add.at(expected, ids, products)
        np.testing.assert_allclose(to_host(of_values), expected, atol=2e-4)
    else:
        assert of_values is None
    none = FactorKernels(runtime).gradients(
        p.codes, *map(p.send, (p.values, p.table, ids[:0], of_rows[:0]))
    )
    assert not any(to_host(one).any() for one in none if one is not None)


SHAPES = [((6, 10), 1), ((5, 7), 5), ((4, 140), 2)]


def blocks_of(shape, block_size, bits):
    """Returns centroids, the numbers of blocks, and the matrix they make."""
    random = np.random.default_rng(5)
    centroids = random.normal(size=(min(1 << bits, 70_000), block_size)).astype(np.float32)
    numbers = random.integers(len(centroids), size=shape[0] * shape[1] // block_size)
    return centroids, numbers, centroids[numbers].reshape(shape)


@pytest.mark.parametrize("bits", [1, 3, 8, 9, 17])
@pytest.mark.parametrize(("shape", "block_size"), SHAPES)
def test_blocks_are_decoded(runtime, to_host, bits, shape, block_size):
    centroids, numbers, matrix = blocks_of(shape, block_size, bits)
    ids, send = np.array([3, 0, 3]), runtime.xp.asarray
    packed = send(shared_blocks.pack(numbers, bits))
    rows = FactorKernels(runtime).decode(packed, bits, send(centroids), send(ids), shape[1])
    np.testing.assert_array_equal(to_host(rows), matrix[ids])


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize(("shape", "block_size"), SHAPES)
def test_gradients_of_blocks_are_added_up(runtime, to_host, bits, shape, block_size):
    centroids, numbers, _ = blocks_of(shape, block_size, bits)
    ids, send = np.array([3, 0, 3]), runtime.xp.asarray
    of_rows = np.random.default_rng(6).normal(size=(3, shape[1])).astype(np.float32)
    packed = send(shared_blocks.pack(numbers, bits))
    sums = FactorKernels(runtime).sum_by_number(
        packed, bits, centroids.shape, send(ids), send(of_rows)
    )
    of_matrix, expected = np.zeros(shape), np.zeros(centroids.shape)
    np.add.at(of_matrix, ids, of_rows)
    np.add.at(expected, numbers, of_matrix.reshape(len(numbers), block_size))
    np.testing.assert_allclose(to_host(sums), expected, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize("order", ORDERS[1:])
def test_the_order_of_threads_does_not_matter(order):
    p = Problem(np, SIZES[1], with_values=True)
    ids, of_rows = p.random.integers(p.num_rows, size=8), p.normal(8, p.dim)

    def everything(kernels):
        return [
            kernels.look_up(p.codes, p.values, p.table, ids),
            kernels.multiply(p.codes, p.values, p.table, None),
            *kernels.gradients(p.codes, p.values, p.table, ids, of_rows),
        ]

    one, other = (everything(FactorKernels(EmulatedRuntime(o))) for o in (ORDERS[0], order))
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)
