"""Sending a matrix to a GPU: all of it at once, or the rows of some batches at a time."""

from collections.abc import Callable

import numpy as np

from nncompress.errors import InputError
from nncompress.gpu.runtime import Runtime
from nncompress.gpu.step import RowSource
from nncompress.random.shuffle import batch_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization

# The share of a GPU's free memory that a matrix may take.
_SHARE = 0.8
_STAGE_BYTES = 32 << 20
_FLOAT16_MAX = 65_504.0


def fits(matrix: EmbeddingMatrix, dtype: str, runtime: Runtime) -> bool:
    """Tells whether a matrix can stay on a GPU.

    Args:
        matrix: ``(N, D)``.
        dtype: ``"float32"`` or ``"float16"``.
        runtime: The GPU.
    """
    num_rows, dim = matrix.shape
    return num_rows * dim * np.dtype(dtype).itemsize <= _SHARE * runtime.free_bytes


def refuse_large_numbers(matrix: EmbeddingMatrix, normalization: Normalization) -> None:
    """Refuses a matrix that float16 cannot hold.

    Args:
        matrix: ``(N, D)``.
        normalization: The centre and scale that are applied to its rows first.

    Raises:
        InputError: A normalized number is too large for float16.
    """
    for _, rows in matrix.batches():
        largest = float(np.abs(normalization.apply(rows)).max())
        if largest > _FLOAT16_MAX:
            raise InputError(
                f"{matrix.name} has the number {largest:.4g} after normalization, but float16 "
                f"holds at most {_FLOAT16_MAX:.0f}; keep the matrix in float32"
            )


def resident_rows(
    matrix: EmbeddingMatrix,
    weights: np.ndarray | None,
    dtype: str,
    runtime: Runtime,
    normalized: Callable[[object], object],
) -> RowSource:
    """Sends a whole matrix to a GPU, normalized.

    Args:
        matrix: ``(N, D)``.
        weights: The weight of each row, float64 ``(N,)``, or None.
        dtype: ``"float32"`` or ``"float16"``.
        runtime: The GPU.
        normalized: Normalizes rows that are already on the GPU.
    """
    xp, (num_rows, dim) = runtime.xp, matrix.shape
    rows = xp.empty((num_rows, dim), dtype)
    height = max(1, min(num_rows, _STAGE_BYTES // (4 * dim)))
    stage = runtime.stage((height, dim), np.float32)
    for start, block in matrix.batches(height):
        sent = stage.send(len(block), lambda host, block=block: _copy(host, block))
        rows[start : start + len(block)] = normalized(sent)
    stage.finish()
    return RowSource(rows, None if weights is None else xp.asarray(weights, dtype=xp.float32))


class StreamedRows:
    """The rows of some batches at a time, for a matrix that does not fit on a GPU.

    Args:
        matrix: ``(N, D)``.
        weights: The weight of each row, float64 ``(N,)``, or None.
        dtype: ``"float32"`` or ``"float16"``.
        runtime: The GPU.
        normalized: Normalizes rows that are already on the GPU.
        batch_size: Rows in a batch.
        batches: Number of batches that the source holds.
        seed: Seed of the rows' order.
        short_batches: Whether an epoch ends with a smaller batch of the remaining rows.

    Attributes:
        source: The source, with batch b of a run in place ``b % batches``.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        weights: np.ndarray | None,
        dtype: str,
        runtime: Runtime,
        normalized: Callable[[object], object],
        batch_size: int,
        batches: int,
        seed: int,
        short_batches: bool = False,
    ) -> None:
        xp, num_rows = runtime.xp, batch_size * batches
        self._matrix = matrix
        self._weights = weights
        self._normalized = normalized
        self._batch_size = batch_size
        self._seed = seed
        self._short_batches = short_batches
        # A row's weight is sent after its columns.
        self._stage = runtime.stage((num_rows, matrix.dim + 1), np.float32)
        self.source = RowSource(
            xp.empty((num_rows, matrix.dim), dtype),
            None if weights is None else xp.empty(num_rows, xp.float32),
            batches,
        )

    def fill(self, first: int, count: int) -> None:
        """Sends the rows of batches, once the earlier ones have been used.

        Args:
            first: Number of the first batch; the others are in the same round of the source.
            count: Number of batches; only the last may be smaller.
        """
        num_rows = len(self._matrix)
        rows = batch_rows(
            first, count, self._batch_size, num_rows, self._seed, self._short_batches
        )

        def fill(host: np.ndarray) -> None:
            host[:, :-1] = self._matrix.take(rows)
            host[:, -1] = 1.0 if self._weights is None else self._weights[rows]

        sent = self._stage.send(len(rows), fill)
        begin = first % self.source.batches * self._batch_size
        places = slice(begin, begin + len(rows))
        self.source.rows[places] = self._normalized(sent[:, :-1])
        if self.source.weights is not None:
            self.source.weights[places] = sent[:, -1]


def _copy(target: np.ndarray, source: np.ndarray) -> None:
    target[...] = source
