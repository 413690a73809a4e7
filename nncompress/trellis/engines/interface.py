"""The interface of the engines that the residual stage computes with: the CPU, or a GPU.

All arrays that go in and out are NumPy's. Both engines come to the same levels and bytes, and
neither imports what the other needs.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nncompress.embedding.residual_kernels import Reading
from nncompress.embedding.trellis_code import TrellisCode

# Points, bits and shifts of the scales; see ``trellis.scales.Scales.tables``.
Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Counted:
    """Levels counted.

    Attributes:
        errors: The squared error of each row, in squared steps, float64 ``(n,)``.
        bits: The bits of each row by the tables, without its class's, float64 ``(n,)``.
        counts: Symbols by scale and quantizer, int64 ``(scales, 2, 16)``.
        sums: Sums of sizes whose level is below 4, float64 ``(scales, 2, 4)``.
        numbers: How many those are, int64 ``(scales, 2, 4)``.
    """

    errors: np.ndarray
    bits: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    numbers: np.ndarray


class Engine(Protocol):
    """The computer behind the residual stage.

    Rows are coordinates divided by the row's step, float32 ``(n, T)``, C-contiguous; ``offsets``
    is what each row's class adds to the scales of axes, int32 ``(n,)``.

    Attributes:
        threads: Threads for what is left to NumPy.
    """

    threads: int

    def choose_classes(
        self,
        rows: np.ndarray,
        axis_scales: np.ndarray,
        offsets: np.ndarray,
        fees: np.ndarray,
        look_up: np.ndarray,
    ) -> np.ndarray:
        """Chooses each row's class by what its sizes would cost; the first among equals.

        Args:
            rows: float32 ``(n, T)``.
            axis_scales: int32 ``(T,)``.
            offsets: What the classes offered add to the scales, int32 ``(R,)``, ascending.
            fees: The cost of telling each class, float32 ``(R,)``.
            look_up: The cost of a size by scale, float32 ``(scales, sizes)``; sizes go by quarters
                of a step.

        Returns:
            Places among those offered, int64 ``(n,)``.
        """

    def walk(
        self,
        rows: np.ndarray,
        offsets: np.ndarray,
        axis_scales: np.ndarray,
        tables: Tables,
        cost_of_a_bit: float,
        code: TrellisCode,
    ) -> np.ndarray:
        """Finds the levels of least cost.

        Args:
            rows: float32 ``(n, T)``.
            offsets: int32 ``(n,)``.
            axis_scales: int32 ``(T,)``.
            tables: The scales' tables.
            cost_of_a_bit: In squared steps.
            code: The trellis.

        Returns:
            int16 ``(n, T)``.
        """

    def count(
        self,
        rows: np.ndarray,
        levels: np.ndarray,
        offsets: np.ndarray,
        axis_scales: np.ndarray,
        tables: Tables,
        code: TrellisCode,
    ) -> Counted:
        """Counts levels.

        Args:
            rows: float32 ``(n, T)``.
            levels: int16 ``(n, T)``.
            offsets: int32 ``(n,)``.
            axis_scales: int32 ``(T,)``.
            tables: The scales' tables.
            code: The trellis.
        """

    def write(
        self,
        levels: np.ndarray,
        classes: np.ndarray,
        block_rows: int,
        scales: Reading,
        code: TrellisCode,
        frequencies: np.ndarray,
        class_frequencies: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Writes rows as blocks of bytes.

        Args:
            levels: int16 ``(n, T)``.
            classes: Each row's class, uint8 ``(n,)``.
            block_rows: Rows in a block.
            scales: The scales that readers will go by.
            code: The trellis.
            frequencies: Of symbols, in 4096ths, uint16 ``(scales, 2, 16)``.
            class_frequencies: Of classes, in 4096ths, uint16 ``(R,)``.

        Returns:
            The bytes, uint8, and the length of each block, int64.
        """
