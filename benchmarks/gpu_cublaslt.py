"""Products by cuBLASLt through nvmath-python's bindings, which a CUDA graph can record.

CuPy refuses cuBLAS while recording. Here, stream and workspace are explicit, and a product is
prepared when it is first made, which therefore has to happen before recording.
"""

import math
from types import ModuleType
from typing import NamedTuple

import numpy as np

from benchmarks.gpu_timing import seconds_of
from nncompress.gpu.products import address_of
from nncompress.gpu.runtime import Runtime

_FLOAT32 = 0  # cudaDataType's CUDA_R_32F
_WORKSPACE_BYTES = 32 << 20
_ALGORITHMS = 8
_TRIALS, _REPEATS = 10, 3


class _Plan(NamedTuple):
    """The arguments of a cuBLASLt call besides the addresses of operands and result."""

    description: int
    layouts: tuple[int, int, int]
    algorithm: np.ndarray


class _Operand(NamedTuple):
    """A matrix with contiguous rows, and whether its transpose is meant."""

    array: object
    transposed: bool

    @classmethod
    def of(cls, array: object) -> "_Operand":
        return cls(array, False) if array.flags.c_contiguous else cls(array.T, True)


class CublasLt:
    """Makes products of float32 matrices.

    The fastest of the algorithms that cuBLASLt suggests for a product is found by trying them.

    Args:
        runtime: The GPU.
        bindings: ``nvmath.bindings``.
        tf32: Whether operands are rounded to TF32, for the tensor cores.
    """

    def __init__(self, runtime: Runtime, bindings: ModuleType, tf32: bool) -> None:
        self._runtime = runtime
        self._lt, self._cublas = bindings.cublasLt, bindings.cublas
        kinds = self._cublas.ComputeType
        self._compute = int(kinds.COMPUTE_32F_FAST_TF32 if tf32 else kinds.COMPUTE_32F)
        self._handle = self._lt.create()
        self._workspace = runtime.xp.empty(_WORKSPACE_BYTES, dtype=np.uint8)
        self._one, self._zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        self._plans: dict[tuple, _Plan] = {}

    def __call__(self, first: object, second: object, out: object) -> None:
        """Launches a product on the current stream.

        Args:
            first: ``(m, k)``, contiguous or the transpose of a contiguous matrix.
            second: ``(k, n)``, likewise.
            out: The result, contiguous ``(m, n)``.
        """
        # The library's matrices are column-major, so this is the transposed product, of the second
        # and the first in memory order.
        operands = _Operand.of(second), _Operand.of(first)
        addresses = [address_of(array) for array in (operands[0].array, operands[1].array, out)]
        key = (*addresses, first.shape, second.shape, *(o.transposed for o in operands))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._plan(operands, out, addresses)
        self._launch(plan, addresses)

    def _launch(self, plan: _Plan, addresses: list[int]) -> None:
        first, second, out = addresses
        a, b, d = plan.layouts
        self._lt.matmul(
            *(self._handle, plan.description, self._one.ctypes.data, first, a, second, b),
            *(self._zero.ctypes.data, out, d, out, d, plan.algorithm.ctypes.data),
            *(address_of(self._workspace), _WORKSPACE_BYTES),
            self._runtime.xp.cuda.get_current_stream().ptr,
        )

    def _plan(
        self, operands: tuple[_Operand, _Operand], out: object, addresses: list[int]
    ) -> _Plan:
        lt = self._lt
        description = lt.matmul_desc_create(self._compute, _FLOAT32)
        attributes = lt.MatmulDescAttribute
        operations = self._cublas.Operation
        for name, operand in zip(("TRANSA", "TRANSB"), operands, strict=True):
            operation = operations.T if operand.transposed else operations.N
            _set(lt.matmul_desc_set_attribute, description, attributes[name], np.int32(operation))
        layouts = tuple(self._layout(array) for array in (*(o.array for o in operands), out))
        found = self._algorithms(description, layouts, addresses)
        plans = [_Plan(description, layouts, algorithm) for algorithm in found]
        return min(plans, key=lambda plan: self._seconds(plan, addresses))

    def _layout(self, array: object) -> int:
        rows, columns = array.shape
        return self._lt.matrix_layout_create(_FLOAT32, columns, rows, columns)

    def _algorithms(
        self, description: int, layouts: tuple[int, int, int], addresses: list[int]
    ) -> list[np.ndarray]:
        lt = self._lt
        preference = lt.matmul_preference_create()
        attributes = lt.MatmulPreferenceAttribute
        wanted = {"MAX_WORKSPACE_BYTES": np.uint64(_WORKSPACE_BYTES)}
        for letter, address in zip("ABCD", (*addresses, addresses[-1]), strict=True):
            wanted[f"MIN_ALIGNMENT_{letter}_BYTES"] = np.uint32(min(256, address & -address))
        for name, value in wanted.items():
            _set(lt.matmul_preference_set_attribute, preference, attributes[name], value)
        results = lt.MatmulHeuristicResult(_ALGORITHMS)
        count = np.zeros(1, np.int32)
        a, b, d = layouts
        lt.matmul_algo_get_heuristic(
            *(self._handle, description, a, b, d, d, preference, _ALGORITHMS),
            *(results.ptr, count.ctypes.data),
        )
        lt.matmul_preference_destroy(preference)
        if not count[0]:
            raise RuntimeError("cuBLASLt has no algorithm for a product")
        # Copies of 64 bytes each, which outlive the results.
        return [np.array(results[index].algo) for index in range(count[0])]

    def _seconds(self, plan: _Plan, addresses: list[int]) -> float:
        try:
            self._launch(plan, addresses)  # loads modules, which must not happen while recording
        except self._lt.cuBLASLtError:
            return math.inf

        def launch() -> None:
            for _ in range(_TRIALS):
                self._launch(plan, addresses)

        # Recorded, because launching from Python takes longer than a small product.
        return seconds_of(self._runtime.record(launch), self._runtime.xp, _REPEATS)


def _set(setter, target: int, attribute: int, value: np.generic) -> None:
    held = np.array(value)
    setter(target, int(attribute), held.ctypes.data, held.nbytes)
