"""Making the residual stage of a whole table: fitted to a sample, all rows coded by it."""

import numpy as np

from nncompress.embedding.codes import reconstruct
from nncompress.embedding.residual import Residual, Stream
from nncompress.machine import Machine
from nncompress.progress import progress_bar
from nncompress.refinement.blas import one_blas_thread
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows
from nncompress.trellis.basis import Basis
from nncompress.trellis.engines import make_engine
from nncompress.trellis.quantizer import Coded, Quantizer, Settings, fit

# Rows that axes and tables are fitted to; a larger table's are spaced evenly.
SAMPLE_ROWS = 65_536
_SAMPLE_BYTES = 256 << 20
_TILE_BYTES = 32 << 20


class Remainder:
    """What additive codes leave of a matrix's rows, or the rows as they are.

    Args:
        matrix: The rows, ``(N, D)``.
        codes: Their additive codes, ``(N, M)``; None: there are none.
        codebook: float32 ``(M*K, D)``, as readers will see it; None: there is none.
        total_rows: The rows of the table of which these are a sample, and which share what a
            stage takes; None: these are all.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        codes: np.ndarray | None = None,
        codebook: np.ndarray | None = None,
        total_rows: int | None = None,
    ) -> None:
        self.matrix, self._codes, self._codebook = matrix, codes, codebook
        self.shape = matrix.shape
        self.total_rows = len(matrix) if total_rows is None else total_rows

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows, float32 ``(n, D)``."""
        taken = self.matrix.take(rows)
        if self._codes is None or self._codebook is None:
            return taken
        return taken - reconstruct(self._codes[rows], self._codebook)

    def part(self, rows: np.ndarray) -> "Remainder":
        """Returns what is left of these rows, int64, alone and in memory."""
        # Next to the others a remainder may be as good as 0.
        matrix = EmbeddingMatrix(self.take(rows), self.matrix.name, tiny_rows=True)
        return Remainder(matrix)

    def restored(self, rows: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Returns rows ``(n, D)`` whose remainder is given, by their numbers, float32."""
        if self._codes is None or self._codebook is None:
            return left
        return left + reconstruct(self._codes[rows], self._codebook)


def make_residual(
    remainder: Remainder,
    settings: Settings,
    machine: Machine,
    weights: np.ndarray | None = None,
) -> Residual:
    """Makes the residual stage of a table.

    Args:
        remainder: The rows to code, ``(N, D)``.
        settings: The quantizer's settings.
        machine: The machine to compute on.
        weights: The weight of each row, float64 ``(N,)``; None: all the same.
    """
    quantizer, _ = fit_quantizer(remainder, settings, machine, weights)
    return code_rows(remainder, quantizer, machine, weights)


def fit_quantizer(
    remainder: Remainder,
    settings: Settings,
    machine: Machine,
    weights: np.ndarray | None = None,
    num_rows: int | None = None,
    basis: Basis | None = None,
) -> tuple[Quantizer, Coded]:
    """Fits a quantizer to a sample of the rows, and returns it with some of them coded.

    Args:
        remainder: The rows.
        settings: The quantizer's settings.
        machine: The machine to compute on.
        weights: The weight of each row, float64; None: all the same.
        num_rows: The rows that will share what the quantizer takes; those of the table by
            default.
        basis: The basis of a quantizer fitted to the same rows with a step not far from this one.
    """
    sample = sample_of(remainder)
    own = None if weights is None else weights[sample]
    count = remainder.total_rows if num_rows is None else num_rows
    return fit(remainder.take(sample), own, settings, make_engine(machine), count, basis)


def sample_of(remainder: Remainder) -> np.ndarray:
    """Returns the numbers of the rows that a quantizer is fitted to, int64."""
    num_rows, dim = remainder.shape
    return spaced_rows(min(SAMPLE_ROWS, _SAMPLE_BYTES // (4 * dim), num_rows), num_rows)


@one_blas_thread
def code_rows(
    remainder: Remainder,
    quantizer: Quantizer,
    machine: Machine,
    weights: np.ndarray | None = None,
) -> Residual:
    """Codes all rows by a quantizer; the arguments are those of ``make_residual``."""
    engine = make_engine(machine)
    num_rows, dim = remainder.shape
    group = quantizer.settings.block_rows
    step = max(1, _TILE_BYTES // (4 * dim * group)) * group
    parts, lengths, clusters = [], [], []
    with progress_bar(num_rows, "Coding rows") as bar:
        for first in range(0, num_rows, step):
            rows = np.arange(first, min(first + step, num_rows))
            own = None if weights is None else weights[rows]
            coded = quantizer.code(remainder.take(rows), own, engine)
            data, lengths_here = quantizer.write(coded, engine)
            parts.append(data)
            lengths.append(lengths_here)
            clusters.append(coded.clusters)
            bar.update(len(rows))
    stream = Stream.of(np.concatenate(parts), np.concatenate(lengths), group, num_rows)
    return quantizer.to_residual(stream, np.concatenate(clusters))
