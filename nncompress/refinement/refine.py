"""Refinement: codes and codebook made better in turn, from where training left them.

Source: Martinez et al., "LSQ++: Lower Running Time and Higher Recall in Multi-codebook
Quantization", ECCV 2018 (the alternation, and perturbed ICM); Babenko and Lempitsky, CVPR 2014.
"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from nncompress.autoencoder.noise import Stream
from nncompress.embedding.codes import reconstruct
from nncompress.errors import InputError
from nncompress.kernels import icm
from nncompress.progress import progress_bar
from nncompress.refinement.least_squares import LeastSquares
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization, fit_normalization
from nncompress.threads import Team, resolve_threads

# The Gram matrix and the counts have L = M*K rows and columns: 2 GiB of them at this size.
MOST_CODEWORDS = 8_192
_BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class RefinementSettings:
    """How long and how hard to try.

    Attributes:
        rounds: The most rounds; each improves the codes and then the codebook.
        tolerance: Refinement ends after a round that gains less than this share of the loss.
        trials: Perturbations tried for each row in a round.
        perturbed: Groups that a perturbation changes.
        sweeps: The most sweeps of ICM after a perturbation.
    """

    rounds: int = 12
    tolerance: float = 1e-3
    trials: int = 8
    perturbed: int = 4
    sweeps: int = 4


def improve_codes(
    matrix: EmbeddingMatrix,
    codes: np.ndarray,
    codebook: np.ndarray,
    *,
    seed: int = 0,
    threads: int | None = None,
    settings: RefinementSettings = RefinementSettings(),
) -> np.ndarray:
    """Improves the codes of rows for a codebook that stays as it is.

    Args:
        matrix: The rows, ``(N, D)``, which need not be those that the codebook was made for.
        codes: Where to start, ``(N, M)``.
        codebook: ``(M*K, D)``, in the units of the matrix.
        seed: Seed of the perturbations.
        threads: Threads to compute with; no result depends on it.
        settings: How hard to try: all rounds are made, with as many trials each.

    Returns:
        Codes of the same shape and type, none of them worse.

    Raises:
        InputError: The codebook has more than ``MOST_CODEWORDS`` codewords.
    """
    refiner = _Refiner(matrix, codes, codebook, seed, resolve_threads(threads), settings)
    with progress_bar(settings.rounds * len(matrix), "Encoding") as bar:
        for position in range(settings.rounds):
            refiner.improve(position, bar, None)
    return refiner.codes


def refine(
    matrix: EmbeddingMatrix,
    codes: np.ndarray,
    codebook: np.ndarray,
    *,
    seed: int = 0,
    threads: int | None = None,
    settings: RefinementSettings = RefinementSettings(),
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Lowers the mean squared distance between rows and their reconstructions.

    Args:
        matrix: The embedding matrix, ``(N, D)``.
        codes: Where to start, ``(N, M)``.
        codebook: Where to start, ``(M*K, D)``, in the units of the matrix.
        seed: Seed of everything random.
        threads: Threads to compute with; None for as many as there are usable cores. No result
            depends on it.
        settings: How long and how hard to try.

    Returns:
        Better codes, of the same shape and type; a better codebook, float32 ``(M*K, D)``; and the
        loss, in the units of the matrix, after each round, which never rises.

    Raises:
        InputError: The codebook has more than ``MOST_CODEWORDS`` codewords.
    """
    refiner = _Refiner(matrix, codes, codebook, seed, resolve_threads(threads), settings)
    losses: list[float] = []
    with progress_bar(settings.rounds * len(matrix), "Refining", delay=0, leave=True) as bar:
        for position in range(settings.rounds):
            equations = LeastSquares(*codebook.shape)
            refiner.improve(position, bar, equations)
            if not losses:
                losses.append(refiner.in_units(equations.loss(refiner.codebook)))
            refiner.codebook = equations.solve(refiner.codebook)
            losses.append(refiner.in_units(equations.loss(refiner.codebook)))
            bar.set_postfix(loss=f"{losses[-1]:.5g}")
            if losses[-2] - losses[-1] <= settings.tolerance * losses[-2]:
                break
            refiner.revive(equations)
    return refiner.codes, refiner.export_codebook(), losses[1:]


class _Refiner:
    """Codes and a codebook of normalized rows, and the passes over the rows."""

    def __init__(self, matrix, codes, codebook, seed, threads, settings) -> None:
        if len(codebook) > MOST_CODEWORDS:
            raise InputError(
                f"the codebook has {len(codebook)} codewords (M*K); refinement takes at most "
                f"{MOST_CODEWORDS}, so leave it out or train with a smaller M or K"
            )
        self.matrix = matrix
        self.codes = codes.copy()
        self.settings = settings
        self._seed_words = np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF], dtype=np.uint32)
        self._team = Team(threads)
        # Centred rows keep their precision in float32, and a sum of squares its meaning.
        self._normalization: Normalization = fit_normalization(matrix)
        shift = self._normalization.centre.astype(np.float64) / codes.shape[1]
        self.codebook = (codebook - shift) / self._normalization.scale
        self._random = np.random.default_rng(seed)

    def export_codebook(self) -> np.ndarray:
        shift = self._normalization.centre.astype(np.float64) / self.codes.shape[1]
        return (self.codebook * self._normalization.scale + shift).astype(np.float32)

    def in_units(self, loss: float) -> float:
        return loss * self._normalization.scale**2

    def improve(self, position: int, bar: tqdm, equations: LeastSquares | None) -> None:
        """Improves all codes, and tallies them up if equations are given."""
        codebook = self.codebook.astype(np.float32)
        num_codewords = len(codebook) // self.codes.shape[1]
        gram = 2.0 * (codebook @ codebook.T)
        for group in range(self.codes.shape[1]):
            own = slice(group * num_codewords, (group + 1) * num_codewords)
            gram[own, own] = 0.0
        norms = np.einsum("ld,ld->l", codebook, codebook)
        codebook_t = np.ascontiguousarray(codebook.T)
        settings = self.settings
        normalization = self._normalization
        for start, rows in self.matrix.batches(_BLOCK_ROWS):
            part = slice(start, start + len(rows))
            x = (rows - normalization.centre) / np.float32(normalization.scale)
            codes = self.codes[part].astype(np.int32)
            self._team.run(
                icm.improve,
                self._team.threads,
                x,
                codebook_t,
                norms,
                gram,
                codes,
                start,
                self._seed_words,
                int(Stream.PERTURBATION),
                position,
                settings.trials,
                settings.perturbed,
                settings.sweeps,
            )
            self.codes[part] = codes
            if equations is not None:
                self._team.run(
                    icm.tally,
                    self._team.threads,
                    x,
                    codes,
                    num_codewords,
                    equations.counts,
                    equations.sums,
                )
                equations.squares += float(np.einsum("nd,nd->", x, x, dtype=np.float64))
                equations.num_rows += len(x)
            bar.update(len(rows))

    def revive(self, equations: LeastSquares) -> None:
        """Gives codewords that no row uses a place where they would serve a badly served row.

        Taking up the new codeword would reconstruct that row exactly; as long as none does, the
        loss stays what it is.
        """
        dead = np.flatnonzero(np.diag(equations.counts) == 0)
        if not len(dead):
            return
        num_codewords = len(self.codebook) // self.codes.shape[1]
        sample = self._random.integers(len(self.matrix), size=8 * len(dead))
        normalization = self._normalization
        rows = (self.matrix.take(sample) - normalization.centre) / normalization.scale
        residuals = rows - reconstruct(self.codes[sample], self.codebook)
        worst = np.argsort(-np.einsum("nd,nd->n", residuals, residuals), kind="stable")
        for unit, index in zip(dead, worst[: len(dead)], strict=True):
            group = unit // num_codewords
            used = group * num_codewords + int(self.codes[sample[index], group])
            self.codebook[unit] = self.codebook[used] + residuals[index]
