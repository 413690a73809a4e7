"""Making the residual stage of a whole table: fitting it to a sample and coding all rows."""

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

# The rows that axes and tables are fitted to; in a larger table they are spaced evenly.
SAMPLE_ROWS = 65_536
_SAMPLE_BYTES = 256 << 20
_TILE_BYTES = 32 << 20


class Remainder:
    """A matrix's rows minus their reconstructions by additive codes, or the rows themselves.

    Args:
        matrix: The rows, ``(N, D)``.
        codes: Their additive codes, ``(N, M)``; None: there are none.
        codebook: float32 ``(M*K, D)``, as decoders will see it; None: there is none.
        total_rows: The number of rows in the table that these are a sample of, which share the
            size of the stage; None: these are all.
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
        """Returns the remainder of some rows (int64) as a remainder of its own, in memory."""
        # A row's remainder may be practically 0 beside the others.
        matrix = EmbeddingMatrix(self.take(rows), self.matrix.name, tiny_rows=True)
        return Remainder(matrix)

    def restored(self, rows: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Returns the rows of these numbers, given their remainders, float32 ``(n, D)``."""
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
        weights: The weight of each row, float64 ``(N,)``; None: all are equal.
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
    """Fits a quantizer to a sample of the rows; returns it together with some of them, coded.

    Args:
        remainder: The rows.
        settings: The quantizer's settings.
        machine: The machine to compute on.
        weights: The weight of each row, float64; None: all are equal.
        num_rows: The number of rows that will share the quantizer's size; by default those of the
            table.
        basis: The basis of a quantizer that was fitted to the same rows with a similar step.
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
    """Codes all rows with a quantizer; the arguments are those of ``make_residual``."""
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
