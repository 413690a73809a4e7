"""Refinement: improving codes and codebook in turn, starting from those of training.

Sources: Martinez et al., "LSQ++: Lower Running Time and Higher Recall in Multi-codebook
Quantization", ECCV 2018 (the alternation, and perturbed ICM); Babenko and Lempitsky, "Additive
Quantization for Extreme Vector Compression", CVPR 2014 (beam search, least squares).
"""

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.codes import code_dtype
from nncompress.errors import InputError
from nncompress.formats.work import WorkDirectory
from nncompress.machine import Machine
from nncompress.progress import progress_bar
from nncompress.refinement.annealing import anneal, falling_temperatures
from nncompress.refinement.blas import one_blas_thread
from nncompress.refinement.encoding import EFFORTS, Effort, RowEncoder
from nncompress.refinement.engines import make_engine
from nncompress.refinement.engines.interface import Engine
from nncompress.refinement.growing import grow
from nncompress.refinement.record import Record
from nncompress.refinement.residual import residual_start
from nncompress.refinement.room import CODEWORDS_OF_FULL_LENGTH, require_room, sample_rows
from nncompress.refinement.rows import CodedRows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

# Rows of the probe that decides whether codebooks are annealed or grown.
PROBE_ROWS = 8_192
PROBE_ROUNDS, PROBE_TRIALS = 15, 4
# Widths of the beam while codebooks grow on the probe.
PROBE_WIDTHS = (8, 16, 16)
# The least that many more rounds of annealing still gain.
_ANNEALING_GAIN = 0.95
# A round with a wide beam gains as much as several others.
_ROUNDS_A_SEARCH = 3
# Width of the beam in rounds: usually, for tables of many rows, and when no time is left.
WIDTH, _WIDTH_OF_MANY, _LEAST_WIDTH = 128, 64, 8
# The effort of measuring how far rows are from a codebook that was not made for them, and the rows
# encoded between two updates of the progress bar.
_PROBE_EFFORT, _ENCODED_ROWS = Effort(0, 16, 16), 8_192
# Tables with more rows are searched only once: more would take minutes for a few percent.
_MANY_ROWS = 65_536
# The temperature of the samples that ICM starts from, in units of ``CodedRows.temperature``.
_WARM = 1.7
# The shares of limited time after which annealing ends, in the probe and altogether.
_PROBE_SHARE, _ANNEALING_SHARE = 0.15, 0.7


@dataclass(frozen=True)
class RefinementSettings:
    """Settings of refinement: how long and how hard to try.

    Attributes:
        annealing_rounds: Rounds of annealing, each of which samples the codes and fits the
            codebook; with 0, refinement always starts from the trained codebook.
        rounds: The most rounds after that; each improves the codes and then the codebook. After
            residual codebooks, each round begins with beam search, and there are a third as many
            rounds, at least one, and only one if there are many rows.
        tolerance: Refinement ends after a round that gains less than this share of the loss.
        trials: Samples tried for each row in a round.
        seconds: Time after which no further round begins, or None. A few passes over the rows are
            always made. With a limit, results depend on the machine's speed.

    Raises:
        InputError: The time is not positive.
    """

    annealing_rounds: int = 60
    rounds: int = 6
    tolerance: float = 1e-3
    trials: int = 32
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(
                f"the time budget is {self.seconds} seconds; wanted a positive number"
            )


@dataclass(frozen=True)
class Refined:
    """The outcome of refinement.

    Attributes:
        codes: ``(N, M)``.
        codebook: float32 ``(M*K, D)``, in the units of the matrix.
        start: The start that refinement continued from: ``"annealed"``, ``"residual"`` or
            ``"trained"``.
        losses: The loss after each round, weighted if rows have weights, in the units of the
            matrix. It never rises.
    """

    codes: np.ndarray
    codebook: np.ndarray
    start: str
    losses: list[float]


@one_blas_thread
def refine(
    matrix: EmbeddingMatrix,
    codes: np.ndarray,
    codebook: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    seed: int = 0,
    machine: Machine | None = None,
    settings: RefinementSettings = RefinementSettings(),
    work: WorkDirectory | None = None,
) -> Refined:
    """Lowers the mean squared distance between rows and their reconstructions.

    Args:
        matrix: The embedding matrix, ``(N, D)``.
        codes: The codes to start from, ``(N, M)``.
        codebook: The codebook to start from, ``(M*K, D)``, in the units of the matrix.
        weights: The weight of each row in the loss, ``(N,)``; None: all are equal.
        seed: Seed of everything random.
        machine: The machine to compute on; None: the CPU, with all usable cores.
        settings: The settings of refinement.
        work: The directory in which passes are kept, so that an interrupted job can be continued;
            None: they are not kept.

    Returns:
        Codes and codebook, no worse than those given.

    Raises:
        MemoryError: There is less memory than ``room.refinement_bytes`` estimates.
    """
    clock = _Clock(settings.seconds)
    engine = make_engine(machine or Machine())
    rows = prepare_rows(matrix, codes, codebook, weights, seed, engine)
    if work is not None:
        rows.record = Record(work, "trained_rows")
    return _refine(rows, settings, clock)


def _refine(trained: CodedRows, settings: RefinementSettings, clock: "_Clock") -> Refined:
    trained.measure()
    rows, start = trained, "trained"
    if settings.annealing_rounds:
        rows, start = _new_start(trained, settings, clock)
    losses = _rounds(rows, settings, clock, searching=start == "residual")
    rows.keep()
    if rows.loss > trained.loss:  # although a sample promised better
        rows, start = trained, "trained"
        losses = _rounds(rows, settings, clock, searching=False)
    trained.keep()
    return Refined(rows.codes, rows.export_codebook(), start, losses)


@one_blas_thread
def quantize(
    matrix: EmbeddingMatrix,
    num_codebooks: int,
    num_codewords: int,
    *,
    seed: int = 0,
    machine: Machine | None = None,
    settings: RefinementSettings = RefinementSettings(),
) -> Refined:
    """Finds codes and a codebook without a trained start.

    This is quicker than training, and the result is close to that of training and refinement.

    Args:
        matrix: The embedding matrix, ``(N, D)``, which must fit in memory.
        num_codebooks: M.
        num_codewords: K.
        seed: Seed of everything random.
        machine: The machine to compute on; None: the CPU, with all usable cores.
        settings: The settings of refinement.

    Returns:
        The codes and the codebook.

    Raises:
        InputError: The codebook takes more memory than is free.
    """
    machine = machine or Machine()
    require_room(*matrix.shape, num_codebooks * num_codewords, machine)
    codes = np.zeros((len(matrix), num_codebooks), code_dtype(num_codewords))
    codebook = np.zeros((num_codebooks * num_codewords, matrix.dim), np.float32)
    engine = make_engine(machine)
    rows = prepare_rows(matrix, codes, codebook, None, seed, engine)
    residual_start(rows)
    clock = _Clock(settings.seconds)
    start = prepare_rows(matrix, rows.codes, rows.export_codebook(), None, seed, engine)
    return _refine(start, settings, clock)


@one_blas_thread
def improve_codes(
    matrix: EmbeddingMatrix,
    codes: np.ndarray,
    codebook: np.ndarray,
    *,
    seed: int = 0,
    machine: Machine | None = None,
    settings: RefinementSettings = RefinementSettings(),
) -> np.ndarray:
    """Improves the codes of rows for a codebook that stays as it is.

    Args:
        matrix: The rows, ``(N, D)``; they need not be those that the codebook was made for.
        codes: The codes to start from, ``(N, M)``.
        codebook: ``(M*K, D)``, in the units of the matrix.
        seed: Seed of everything random.
        machine: The machine to compute on; None: the CPU, with all usable cores.
        settings: The settings of refinement; as many trials are made as in all rounds together.

    Returns:
        Codes of the same shape and type, none of them worse.

    Raises:
        InputError: The codebook takes more memory than is free.
    """
    machine = machine or Machine()
    require_room(*matrix.shape, len(codebook), machine)
    trials = settings.trials * max(1, settings.rounds)
    how = codebook, codes.shape[1], matrix.normalization
    probe = RowEncoder(*how, 0.0, _PROBE_EFFORT, seed, machine)
    sample = matrix.take(spaced_rows(PROBE_ROWS, len(matrix)))
    loss = 0.5 * float(probe.errors(sample, probe.encode(sample, 0)).mean())
    encoder = RowEncoder(*how, loss, replace(EFFORTS["thorough"], trials=trials), seed, machine)
    better = np.empty_like(codes)
    with progress_bar(len(matrix), "Encoding") as bar:
        for first, rows in matrix.batches(_ENCODED_ROWS):
            part = slice(first, first + len(rows))
            better[part] = encoder.encode(rows, first, codes[part])
            bar.update(len(rows))
    return better


class _Clock:
    """Keeps track of how much of the time has passed."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._started = time.monotonic()

    def share(self) -> float:
        """Returns the share of the time that has passed; 0 if there is no limit."""
        if self._seconds is None:
            return 0.0
        return (time.monotonic() - self._started) / self._seconds


def prepare_rows(
    matrix: EmbeddingMatrix,
    codes: np.ndarray,
    codebook: np.ndarray,
    weights: np.ndarray | None,
    seed: int,
    engine: Engine,
) -> CodedRows:
    """Centres and scales rows and codebook; all arguments but the last are as for ``refine``."""
    # Centred rows keep their precision in float32, and sums of squares stay meaningful.
    normalization = matrix.normalization
    shift = normalization.centre.astype(np.float64) / codes.shape[1]
    return CodedRows(
        matrix,
        np.ones(len(matrix)) if weights is None else weights / weights.mean(),
        normalization,
        codes.copy(),
        (codebook - shift) / normalization.scale,
        seed,
        engine,
    )


def _new_start(
    trained: CodedRows, settings: RefinementSettings, clock: _Clock
) -> tuple[CodedRows, str]:
    """Returns all rows with the codebook that did best on samples, and its name.

    With few bits per dimension, annealing finds the best codebook. With many, codes are hard to
    find, and groups of decreasing size, through which beam search can find its way, do better. If
    neither does better than the trained codebook, that one is kept.
    """
    sample = trained.sample(sample_rows(trained.matrix.dim), "sample")
    others = sample.with_codebook(sample.codebook, "trained_sample")
    start = _better_start(sample, clock)
    if start == "annealed":
        # With many codewords, a round costs more than its rows.
        few = min(1.0, CODEWORDS_OF_FULL_LENGTH / len(sample.codebook))
        rounds = math.ceil(settings.annealing_rounds * few)
        anneal(sample, rounds, lambda: clock.share() / _ANNEALING_SHARE)
        sample.improve(PROBE_TRIALS, _WARM * sample.temperature)
        sample.keep()
    else:
        sample = grow(trained, lambda: clock.share() / _ANNEALING_SHARE)
    others.improve(PROBE_TRIALS, _WARM * others.temperature)
    others.keep()
    if sample.loss > others.loss:
        return trained, "trained"
    if start == "annealed" and len(sample.matrix) == len(trained.matrix):
        return sample, start
    rows = trained.with_codebook(sample.codebook, "rows")
    if start == "annealed":
        rows.relax(falling_temperatures(sample.temperature))
    else:
        rows.loss = math.inf  # their codes do not belong to this codebook
    return rows, start


def _better_start(sample: CodedRows, clock: _Clock) -> str:
    """Finds out with a probe which of two starts is better."""
    probe = sample.sample(PROBE_ROWS, "annealed_probe")
    others = probe.sample(PROBE_ROWS, "grown_probe")
    anneal(probe, PROBE_ROUNDS, lambda: clock.share() / _PROBE_SHARE)
    residual_start(others)
    for width in PROBE_WIDTHS:
        if clock.share() < _ANNEALING_SHARE:
            others.search(width)
    for candidate in (probe, others):
        candidate.improve(PROBE_TRIALS, _WARM * candidate.temperature)
        candidate.keep()
    return "annealed" if _ANNEALING_GAIN * probe.loss <= others.loss else "residual"


def rounds_of(settings: RefinementSettings, num_rows: int, *, searching: bool) -> tuple[int, int]:
    """Returns the most rounds over all rows, and the width of their beam.

    Args:
        settings: The settings of refinement.
        num_rows: N.
        searching: Whether rounds begin with beam search. If so, there is at least one round; if
            not, the width is 0.
    """
    if not searching:
        return settings.rounds, 0
    if num_rows > _MANY_ROWS:
        return 1, _WIDTH_OF_MANY
    return max(1, math.ceil(settings.rounds / _ROUNDS_A_SEARCH)), WIDTH


def _rounds(
    rows: CodedRows, settings: RefinementSettings, clock: _Clock, *, searching: bool
) -> list[float]:
    """Runs the final rounds, which never raise the loss; returns the loss after each."""
    losses = []
    passes = 2 if searching else 1
    rounds, width = rounds_of(settings, len(rows.matrix), searching=searching)
    with progress_bar(passes * rounds * len(rows.matrix), "Refining", delay=0, leave=True) as bar:
        for _ in range(rounds):
            before = rows.loss
            if searching:
                rows.search(width if clock.share() < 1.0 else _LEAST_WIDTH, bar=bar)
            rows.improve(settings.trials, _WARM * rows.temperature, bar=bar)
            losses.append(rows.loss_in_units)
            bar.set_postfix(loss=f"{losses[-1]:.5g}")
            gained_little = before - rows.loss <= settings.tolerance * before < math.inf
            if gained_little or clock.share() >= 1.0:
                break
    return losses
