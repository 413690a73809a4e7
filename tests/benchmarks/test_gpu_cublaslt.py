"""How products are described to cuBLASLt, with a stand-in for it that multiplies by NumPy."""

import ctypes
import itertools
from enum import IntEnum
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.gpu_cublaslt import CublasLt


class Numbered(IntEnum):
    """As the bindings number what is used."""

    TRANSA, TRANSB = 3, 4
    MAX_WORKSPACE_BYTES = 1
    MIN_ALIGNMENT_A_BYTES, MIN_ALIGNMENT_B_BYTES = 5, 6
    MIN_ALIGNMENT_C_BYTES, MIN_ALIGNMENT_D_BYTES = 7, 8


class StandIn:
    """Keeps matrices by columns, as the library's documentation has it."""

    MatmulDescAttribute = MatmulPreferenceAttribute = Numbered
    cuBLASLtError = ArithmeticError
    refused: int | None = None

    def __init__(self):
        self.things = {}
        self.numbers = itertools.count(1)
        self.launches = 0

    def _add(self, thing):
        number = next(self.numbers)
        self.things[number] = thing
        return number

    def create(self):
        return self._add("handle")

    def matmul_desc_create(self, compute, scale):
        return self._add({"compute": compute, Numbered.TRANSA: 0, Numbered.TRANSB: 0})

    def matmul_desc_set_attribute(self, description, attribute, address, size):
        assert size == 4
        self.things[description][attribute] = ctypes.c_int32.from_address(address).value

    def matrix_layout_create(self, kind, rows, columns, stride):
        assert kind == 0
        assert stride >= rows
        return self._add((rows, columns, stride))

    def matmul_preference_create(self):
        return self._add({})

    def matmul_preference_set_attribute(self, preference, attribute, address, size):
        kind = {4: ctypes.c_uint32, 8: ctypes.c_uint64}[size]
        self.things[preference][attribute] = kind.from_address(address).value

    def matmul_preference_destroy(self, preference):
        wanted = self.things.pop(preference)
        assert wanted[Numbered.MAX_WORKSPACE_BYTES] > 0
        assert wanted[Numbered.MIN_ALIGNMENT_D_BYTES] >= 4

    class MatmulHeuristicResult:
        def __init__(self, size):
            self.held = np.arange(8 * size, dtype=np.uint64).reshape(size, 8)
            self.ptr = self.held.ctypes.data

        def __getitem__(self, index):
            return SimpleNamespace(algo=self.held[index])

    def matmul_algo_get_heuristic(self, handle, description, *given):
        ctypes.c_int32.from_address(given[-1]).value = 3

    def matmul(self, handle, description, alpha, a, a_layout, b, b_layout, beta, *rest):
        c, c_layout, d, d_layout, algorithm, *_ = rest
        assert (c, c_layout) == (d, d_layout)
        # The fastest is the second in the test's timing.
        self.algorithm = ctypes.c_uint64.from_address(algorithm).value // 8
        if self.algorithm == self.refused:
            raise self.cuBLASLtError
        described = self.things[description]
        scales = [ctypes.c_float.from_address(address).value for address in (alpha, beta)]
        assert scales == [1, 0]
        first = self._matrix(a, a_layout)
        second = self._matrix(b, b_layout)
        first = first.T if described[Numbered.TRANSA] else first
        second = second.T if described[Numbered.TRANSB] else second
        self._matrix(d, d_layout)[...] = first @ second
        self.launches += 1

    def _matrix(self, address, layout):
        rows, columns, stride = self.things[layout]
        kept = (ctypes.c_float * (stride * columns)).from_address(address)
        return np.frombuffer(kept, np.float32).reshape(columns, stride)[:, :rows].T


@pytest.fixture
def library(monkeypatch):
    library = StandIn()
    library.times = iter([3.0, 1.0, 2.0] * 100)
    monkeypatch.setattr("benchmarks.gpu_cublaslt.seconds_of", lambda *_: next(library.times))
    return library


@pytest.fixture
def multiply(library):
    kinds = SimpleNamespace(COMPUTE_32F_FAST_TF32=77, COMPUTE_32F=68)
    operations = SimpleNamespace(N=0, T=1)
    bindings = SimpleNamespace(
        cublasLt=library, cublas=SimpleNamespace(ComputeType=kinds, Operation=operations)
    )
    cuda = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=0))
    runtime = SimpleNamespace(
        xp=SimpleNamespace(empty=np.empty, cuda=cuda), record=lambda launch: launch
    )
    return CublasLt(runtime, bindings, tf32=True)


@pytest.mark.parametrize("transposed", [(a, b) for a in (False, True) for b in (False, True)])
def test_products_are_numpys_however_operands_lie(random, library, multiply, transposed):
    m, n, k = 5, 7, 3

    def made(rows, columns, other_way):
        array = random.normal(size=(rows, columns)).astype(np.float32)
        return np.ascontiguousarray(array.T).T if other_way else array

    first, second = made(m, k, transposed[0]), made(k, n, transposed[1])
    out = np.full((m, n), np.nan, np.float32)
    multiply(first, second, out)
    np.testing.assert_allclose(out, first @ second, rtol=1e-5)
    assert library.algorithm == 1
    out[...] = np.nan
    library.launches = 0
    multiply(first, second, out)
    assert library.launches == 1
    np.testing.assert_allclose(out, first @ second, rtol=1e-5)


def test_an_algorithm_that_does_not_work_is_left_out(library, multiply):
    library.refused = 0
    matrix = np.ones((2, 2), np.float32)
    out = np.empty_like(matrix)
    multiply(matrix, matrix, out)
    # Times are 3 and 1 for those that are left.
    assert library.algorithm == 2
    np.testing.assert_array_equal(out, 2)


def test_no_algorithm_is_said(random, library, multiply, monkeypatch):
    monkeypatch.setattr(library, "matmul_algo_get_heuristic", lambda *_: None)
    matrix = np.ones((2, 2), np.float32)
    with pytest.raises(RuntimeError, match="no algorithm"):
        multiply(matrix, matrix, np.empty_like(matrix))
