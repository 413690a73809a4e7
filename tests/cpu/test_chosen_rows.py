"""Products with sums of a table's rows, against the matrix that they are products with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.cpu import chosen_rows
from nncompress.cpu.permutes import TABLE, TOGETHER
from nncompress.cpu.target import PERMUTES
from nncompress.embedding.packing import Packing, bits_for

NO_BARRIER = np.zeros(1, np.int64)


class Case:
    """Sparse codes, or codes in groups, and the left factor that they stand for."""

    def __init__(self, seed, num_rows, count, choices, dim, *, weighted):
        random = np.random.default_rng(seed)
        self.codes = random.integers(choices, size=(num_rows, count))
        self.packing = Packing(count, bits_for(choices))
        self.step = 0 if weighted else choices
        self.units = self.codes + np.arange(count) * self.step
        num_units = choices if weighted else choices * count
        self.values = self.draw(random, num_rows, count) if weighted else None
        self.table = self.draw(random, num_units, dim)
        self.bias = self.draw(random, num_rows)
        self.left = np.zeros((num_rows, num_units))
        places = np.arange(num_rows)[:, None], self.units
        np.add.at(self.left, places, self.values if weighted else 1.0)
        packed = self.packing.pack(self.codes)
        self.arguments = (packed, self.packing.bits, self.step, count), self.values

    @staticmethod
    def draw(random, *shape):
        return random.normal(size=shape).astype(np.float32)


cases = st.builds(
    Case, st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 30), st.integers(1, 40),
    st.integers(1, 140), weighted=st.booleans(),
)  # fmt: skip


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=50)
@given(cases, st.integers(0, 9), st.integers(1, 4))
def test_rows_that_are_looked_up_are_the_matrixs(case, count, threads):
    ids = np.random.default_rng(count).integers(len(case.left), size=count)
    rows = np.full((count, case.table.shape[1]), np.nan, np.float32)
    for thread in range(threads):
        chosen_rows.look_up(thread, threads, NO_BARRIER, *case.arguments, case.table, ids, rows)
    close(rows, (case.left @ case.table)[ids])


@settings(deadline=None, max_examples=50)
@given(cases, st.integers(1, 4))
def test_products_are_the_matrixs_by_any_number_of_threads(case, threads):
    out = np.full((case.table.shape[1], len(case.left)), np.nan, np.float32)
    alone = out.copy()
    for thread in range(threads):
        chosen_rows.multiply(
            thread, threads, NO_BARRIER, *case.arguments, case.table, case.bias, out
        )
    close(out, (case.left @ case.table).T + case.bias)
    chosen_rows.multiply(0, 1, NO_BARRIER, *case.arguments, case.table, case.bias, alone)
    assert (out == alone).all()


@settings(deadline=None, max_examples=50)
@given(cases, st.integers(1, 4), st.sampled_from([np.uint16, np.int32]))
def test_products_with_one_vector_are_the_matrixs(case, threads, kind):
    vector = np.ascontiguousarray(case.table[:, 0])
    out = np.empty(len(case.left), np.float32)
    for thread in range(threads):
        chosen_rows.multiply_vector(
            thread, threads, NO_BARRIER, case.units.astype(kind), case.values, vector, case.bias,
            out,
        )  # fmt: skip
    close(out, case.left @ vector + case.bias)


@pytest.mark.skipif(not PERMUTES, reason="this processor cannot choose within a vector")
@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 30), st.integers(1, TABLE),
    st.integers(1, 4),
)  # fmt: skip
def test_products_with_one_vector_by_small_codes_are_the_matrixs(
    seed, num_rows, count, choices, threads
):
    case = Case(seed, num_rows, count, choices, 1, weighted=False)
    codes = np.zeros((count, -(-num_rows // TOGETHER) * TOGETHER), np.uint8)
    codes[:, :num_rows] = case.codes.T
    vector = np.concatenate([case.table[:, 0], np.full(TABLE, np.nan, np.float32)])
    out = np.empty(num_rows, np.float32)
    for thread in range(threads):
        chosen_rows.multiply_vector_by_codes(
            thread, threads, NO_BARRIER, codes, case.step, vector, case.bias, out
        )
    close(out, case.left @ case.table[:, 0] + case.bias)


@settings(deadline=None, max_examples=50)
@given(cases, st.integers(0, 9))
def test_gradients_are_those_of_the_rows(case, count):
    random = np.random.default_rng(count)
    ids = random.integers(len(case.left), size=count)
    given_ = case.draw(random, count, case.table.shape[1])
    of_table = np.ones_like(case.table)
    of_values = None if case.values is None else np.ones_like(case.values)
    chosen_rows.gradients(*case.arguments, case.table, ids, given_, of_table, of_values)
    close(of_table, 1 + case.left[ids].T @ given_)
    if of_values is not None:
        expected = np.ones(case.values.shape)
        for row, gradient in zip(ids, given_, strict=True):
            expected[row] += case.table[case.units[row]] @ gradient
        close(of_values, expected)
