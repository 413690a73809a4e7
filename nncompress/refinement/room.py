"""The memory and time that refinement takes, and whether the machine has enough of both."""

import time

import numpy as np

from nncompress.errors import InputError
from nncompress.machine import Machine, free_memory

SAMPLE_ROWS = 32_768  # for annealing codebooks
# Rows of a pass of growing, unless there are many codewords.
BATCH_ROWS, _ROWS_A_CODEWORD = 16_384, 32
_SAMPLE_BYTES = 256 << 20
# Larger codebooks get proportionally fewer passes over a sample.
CODEWORDS_OF_FULL_LENGTH = 1_024
# For each pair of codewords: the weight of the rows that use both, and either two inner products
# or the solver's copy; on a GPU the weights are also kept as integers.
_PAIR_BYTES, _PAIR_BYTES_GPU = 16, 24
_ROW_COPIES = 4  # in float32: original and normalized, for two batches
_CODEWORD_COPIES = 8  # in float64: codebooks, sums and the solver's arrays
_FEWEST_SOLUTIONS = 8  # however little time there is
_TIMED_CODEWORDS = 512


def sample_rows(dim: int) -> int:
    """Returns the most rows of D columns that codebooks are annealed on."""
    return _rows_with_room(SAMPLE_ROWS, dim)


def batch_rows(num_units: int, dim: int) -> int:
    """Returns the most rows of D columns to use in one pass of growing L codewords."""
    return _rows_with_room(max(BATCH_ROWS, _ROWS_A_CODEWORD * num_units), dim)


def _rows_with_room(wanted: int, dim: int) -> int:
    return min(wanted, _SAMPLE_BYTES // (4 * dim))


def refinement_bytes(num_rows: int, dim: int, num_units: int, *, on_gpu: bool = False) -> int:
    """Returns about how many bytes refinement uses at once, apart from codes.

    Args:
        num_rows: N.
        dim: D.
        num_units: L = M*K.
        on_gpu: Whether refinement runs on a GPU.
    """
    pairs = (_PAIR_BYTES_GPU if on_gpu else _PAIR_BYTES) * num_units**2
    held = min(num_rows, max(sample_rows(dim), batch_rows(num_units, dim)))
    return pairs + 8 * dim * _CODEWORD_COPIES * num_units + 4 * dim * _ROW_COPIES * held


def solution_seconds(num_units: int, dim: int) -> float:
    """Returns about how many seconds it takes to solve once for a codebook of L codewords."""
    size = min(_TIMED_CODEWORDS, num_units)
    equations, sums = np.eye(size), np.ones((size, dim))
    seconds = []
    for _ in range(2):  # the first one starts the library up
        started = time.perf_counter()
        np.linalg.solve(equations, sums)
        seconds.append(time.perf_counter() - started)
    scale = num_units / size
    return min(seconds) * scale**2 * (2 * num_units + 6 * dim) / (2 * size + 6 * dim)


def no_room(
    num_rows: int,
    dim: int,
    num_units: int,
    machine: Machine,
    seconds: float | None = None,
) -> str | None:
    """Returns the reason why codes cannot be refined here; None if they can.

    Args:
        num_rows: N.
        dim: D.
        num_units: L = M*K.
        machine: The machine to compute on.
        seconds: The time available; None for no limit.
    """
    runtime = machine.runtime
    needed = refinement_bytes(num_rows, dim, num_units, on_gpu=runtime is not None)
    free = free_memory() if runtime is None else runtime.free_bytes
    if free is not None and needed > free:
        return (
            f"refining with {num_units:,} codewords (M*K) takes about {needed:,} bytes of memory, "
            f"but {free:,} are free"
        )
    if seconds is not None and runtime is None:
        fewest = _FEWEST_SOLUTIONS * solution_seconds(num_units, dim)
        if fewest > seconds:
            return (
                f"refining with {num_units:,} codewords (M*K) takes at least about {fewest:,.1f} "
                f"seconds, but the time budget is {seconds:g}"
            )
    return None


def require_room(num_rows: int, dim: int, num_units: int, machine: Machine) -> None:
    """Refuses codebooks that cannot be refined or searched here.

    Args:
        num_rows: N.
        dim: D.
        num_units: L = M*K.
        machine: The machine to compute on.

    Raises:
        InputError: The codebooks take more memory than is free.
    """
    reason = no_room(num_rows, dim, num_units, machine)
    if reason is not None:
        raise InputError(f"{reason}; wanted a smaller M or K, or more memory")
