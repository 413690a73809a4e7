# ruff: noqa: D102  (`interface.py` documents the methods)
"""Refinement's passes on the CPU, by a team of threads."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from nncompress.cpu import beam, icm, tally
from nncompress.cpu.arena import on_a_line
from nncompress.cpu.panels import packed
from nncompress.embedding.codes import reconstruct
from nncompress.machine import Team
from nncompress.refinement.engines.interface import Draw, Rows
from nncompress.refinement.least_squares import LeastSquares

_BLOCK_ROWS = 8_192


class CpuEngine:
    """Computes with Numba's kernels; the methods are those of ``interface.Engine``.

    Args:
        team: The threads to compute with. No result depends on their number.
    """

    xp = np

    def __init__(self, team: Team) -> None:
        self._team = team

    def blocks(self, rows: Rows) -> Iterator[tuple[slice, np.ndarray]]:
        for start, block in rows.matrix.batches(_BLOCK_ROWS):
            yield slice(start, start + len(block)), rows.normalized(block)

    def take(self, rows: Rows, numbers: np.ndarray) -> np.ndarray:
        return rows.normalized(rows.matrix.take(numbers))

    def begin(self, rows: Rows) -> "_CpuPass":
        return _CpuPass(self._team, rows)

    def upload(self, codes: np.ndarray) -> np.ndarray:
        return codes.astype(np.int32)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def residuals(self, x: np.ndarray, codes: np.ndarray, codebook: np.ndarray) -> np.ndarray:
        return x - reconstruct(codes, codebook)

    def squares(self, x: np.ndarray, weights: np.ndarray) -> float:
        return float(weights @ np.einsum("nd,nd->n", x, x, dtype=np.float64))

    def means(
        self, x: np.ndarray, weights: np.ndarray, numbers: np.ndarray, size: int
    ) -> np.ndarray:
        order = np.argsort(numbers, kind="stable")
        used, first = np.unique(numbers[order], return_index=True)
        weighted = x[order] * weights[order, None].astype(np.float32)
        sizes = np.add.reduceat(weights[order], first)
        sums = np.add.reduceat(weighted, first, axis=0)
        means = np.zeros((size, x.shape[1]), dtype=np.float32)
        means[used] = sums / np.where(sizes > 0, sizes, 1)[:, None]
        return means


class _CpuPass:
    """One pass over the rows; the methods are those of ``interface.Pass``."""

    def __init__(self, team: Team, rows: Rows) -> None:
        self._team = team
        self._num_codewords = rows.num_codewords
        self._codebook = rows.codebook.astype(np.float32)
        self._equations = LeastSquares(*self._codebook.shape)
        self._first_units = np.arange(rows.codes.shape[1]) * self._num_codewords

    @cached_property
    def _products(self) -> tuple[np.ndarray, np.ndarray]:
        """The codebook's transpose, packed, and squared norms of its codewords, ``(L,)``."""
        codebook = self._codebook
        return packed(codebook.T), np.einsum("ld,ld->l", codebook, codebook)

    @cached_property
    def _gram(self) -> np.ndarray:
        """Twice the inner products of codewords, ``(L, L)``; 0 within a group."""
        codebook = self._codebook
        gram = on_a_line((len(codebook), len(codebook)), np.float32)
        np.matmul(codebook, codebook.T, out=gram)
        gram *= 2.0
        for first in self._first_units:
            own = slice(first, first + self._num_codewords)
            gram[own, own] = 0.0
        return gram

    @cached_property
    def _pairs(self) -> np.ndarray:
        """The same by group, padded to a multiple of 16, ``(M, L, K or more)``."""
        gram = self._gram
        blocks = gram.reshape(len(gram), -1, self._num_codewords).transpose(1, 0, 2)
        length = -(-self._num_codewords // beam.BLOCK) * beam.BLOCK
        pairs = on_a_line((*blocks.shape[:2], length), np.float32)
        pairs[..., self._num_codewords :] = 0.0
        pairs[..., : self._num_codewords] = blocks
        return pairs

    def relax(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        first_row: int,
        draw: Draw,
        temperatures: np.ndarray,
    ) -> None:
        self._run(
            icm.relax, x, *self._products, self._gram, codes, first_row, *_words(draw),
            temperatures,
        )  # fmt: skip

    def improve(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        first_row: int,
        draw: Draw,
        temperature: float,
        trials: int,
        sweeps: int,
    ) -> None:
        self._run(
            icm.improve, x, *self._products, self._gram, codes, first_row, *_words(draw),
            np.float32(temperature), trials, sweeps,
        )  # fmt: skip

    def find(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        first_row: int,
        draw: Draw,
        order: np.ndarray,
        temperature: float,
        trials: int,
        sweeps: int,
    ) -> None:
        self._run(
            icm.find, x, *self._products, self._gram, codes, first_row, *_words(draw), order,
            np.float32(temperature), trials, sweeps,
        )  # fmt: skip

    def search(self, x: np.ndarray, codes: np.ndarray, order: np.ndarray, width: int) -> None:
        self._run(beam.search, x, *self._products, self._pairs, codes, order, width)

    def tally(self, x: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> None:
        equations = self._equations
        equations.used[codes + self._first_units] = True
        self._run(
            tally.tally, x, weights, codes, self._num_codewords, equations.counts, equations.sums
        )

    def sums(self) -> dict[str, np.ndarray]:
        equations = self._equations
        return {"counts": equations.counts, "sums": equations.sums, "used": equations.used}

    def add(self, sums: dict[str, np.ndarray]) -> None:
        for name, own in self.sums().items():
            own[...] = sums[name]

    def equations(self) -> LeastSquares:
        return self._equations

    def _run(self, function, *arguments) -> None:
        self._team.run(function, self._team.threads, *arguments)


def _words(draw: Draw) -> tuple[np.ndarray, int, int, np.ndarray]:
    """Returns a draw as the arguments that kernels take after the number of the first row."""
    return np.array(draw.key, dtype=np.uint32), draw.stream, draw.position, draw.noise
