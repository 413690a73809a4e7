"""The interface of the engines that the residual stage computes with: the CPU, or a GPU.

All arguments and results are NumPy arrays. Both engines compute the same levels and bytes, and
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
    """Counts of levels, their errors and their bits.

    Attributes:
        errors: The squared error of each row, in squared steps, float64 ``(n,)``.
        bits: The bits of each row by the tables, without those of its class, float64 ``(n,)``.
        counts: The number of each symbol, by scale and quantizer, int64 ``(scales, 2, 16)``.
        sums: The sums of the sizes at each level below 4, float64 ``(scales, 2, 4)``.
        numbers: The number of sizes in each sum, int64 ``(scales, 2, 4)``.
    """

    errors: np.ndarray
    bits: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    numbers: np.ndarray


class Engine(Protocol):
    """The computing behind the residual stage, on a CPU or a GPU.

    Rows are coordinates divided by the row's step, float32 ``(n, T)``, C-contiguous. ``offsets``
    are added to the scales of the axes and depend on each row's class, int32 ``(n,)``.

    Attributes:
        threads: The number of threads for the work that is done with NumPy.
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
        """Chooses for each row the class in which it costs least, and the first of equals.

        Args:
            rows: float32 ``(n, T)``.
            axis_scales: int32 ``(T,)``.
            offsets: The offset of each available class, int32 ``(R,)``, ascending.
            fees: The cost of coding each class, float32 ``(R,)``.
            look_up: The cost of a size by scale, float32 ``(scales, sizes)``; sizes are in
                quarters of a step.

        Returns:
            Indices into ``offsets``, int64 ``(n,)``.
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
        """Finds the levels of lowest cost.

        Args:
            rows: float32 ``(n, T)``.
            offsets: int32 ``(n,)``.
            axis_scales: int32 ``(T,)``.
            tables: The scales' tables.
            cost_of_a_bit: The cost of a bit in squared steps.
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
            scales: The scales that decoders will use.
            code: The trellis.
            frequencies: The frequencies of symbols, in 4096ths, uint16 ``(scales, 2, 16)``.
            class_frequencies: The frequencies of classes, in 4096ths, uint16 ``(R,)``.

        Returns:
            The bytes, uint8, and the length of each block, int64.
        """
