# ruff: noqa: D102  (`interface.py` documents the methods)
"""The residual stage's kernels on the CPU, run by a team of threads."""

import numpy as np

from nncompress.cpu import level_counts, rans, trellis
from nncompress.embedding.residual_kernels import Reading, starts_of
from nncompress.embedding.trellis_code import TrellisCode
from nncompress.machine import Team
from nncompress.trellis.engines.interface import Counted, Tables


class CpuEngine:
    """Computes with Numba's kernels; the methods are those of ``interface.Engine``.

    Args:
        team: The threads to compute with. No result depends on their number.
    """

    def __init__(self, team: Team) -> None:
        self._team = team
        self.threads = team.threads

    def choose_classes(
        self,
        rows: np.ndarray,
        axis_scales: np.ndarray,
        offsets: np.ndarray,
        fees: np.ndarray,
        look_up: np.ndarray,
    ) -> np.ndarray:
        return level_counts.choose_classes(rows, axis_scales, offsets, fees, look_up, self._team)

    def walk(
        self,
        rows: np.ndarray,
        offsets: np.ndarray,
        axis_scales: np.ndarray,
        tables: Tables,
        cost_of_a_bit: float,
        code: TrellisCode,
    ) -> np.ndarray:
        levels = np.zeros(rows.shape, np.int16)
        trellis.find_levels(
            rows, levels, offsets, axis_scales, tables, cost_of_a_bit, code.labels, self._team
        )
        return levels

    def count(
        self,
        rows: np.ndarray,
        levels: np.ndarray,
        offsets: np.ndarray,
        axis_scales: np.ndarray,
        tables: Tables,
        code: TrellisCode,
    ) -> Counted:
        points, bits, _ = tables
        chunks = -(-len(rows) // level_counts.CHUNK)
        counts = np.zeros((chunks, *bits.shape), np.int64)
        sums, numbers = (np.zeros((chunks, *points.shape), np.int64) for _ in range(2))
        errors, spent = np.zeros(len(rows)), np.zeros(len(rows))
        self._run(
            level_counts.count_levels, rows, levels, offsets, errors, spent, counts, sums,
            numbers, axis_scales, tables, (code.next_states, code.quantizers),
        )  # fmt: skip
        sizes = sums.sum(axis=0) / level_counts.SUM_UNITS
        return Counted(errors, spent, counts.sum(axis=0), sizes, numbers.sum(axis=0))

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
        return rans.write(
            levels, classes, block_rows, scales, (code.next_states, code.quantizers),
            frequencies, starts_of(frequencies),
            (class_frequencies, starts_of(class_frequencies)), self._team,
        )  # fmt: skip

    def _run(self, function, *arguments) -> None:
        self._team.run(function, self._team.threads, *arguments)
