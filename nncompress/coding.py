"""Additive codes of a table: learnt by the autoencoder, and refined."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import ENCODING_BATCH, encode
from nncompress.formats.work import WorkDirectory
from nncompress.job import has_trained, trained_once
from nncompress.machine import Machine
from nncompress.making import Coded, facts_of
from nncompress.needs import check_needs, codes_bytes, refines
from nncompress.phases import REFINING
from nncompress.plan import Plan
from nncompress.progress import phase
from nncompress.refinement.forecast import forecast_seconds
from nncompress.refinement.refine import RefinementSettings, refine
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import SourceTable
from nncompress.training.budget import Budget
from nncompress.training.epoch_report import EpochReport
from nncompress.training.memory import check_memory
from nncompress.training.rate import seconds_a_step
from nncompress.training.session import learn


def learn_codes(
    table: SourceTable,
    output: Path | None,
    plan: Plan,
    size: tuple[int, int],
    machine: Machine,
    weights: np.ndarray | None,
    report: Callable[[str], None] | None,
    work: WorkDirectory | None,
) -> tuple[Coded, dict[str, object]]:
    """Trains an autoencoder, encodes the table with it, and refines codes and codebook.

    Args:
        table: The table.
        output: The ``.nnc`` file that will be written, for which there has to be room; None for
            none.
        plan: Its target.
        size: M and K.
        machine: The machine to compute on.
        weights: The weight of each row, float64 ``(N,)`` of mean 1; None for equal weights.
        report: A function that is called with a line for each epoch.
        work: The work directory of the job; None for none.

    Returns:
        The rows as codes, and facts about how they were made, for the file.

    Raises:
        InputError: A setting cannot be used, or there is not enough room.
        Diverged: A loss or a parameter is not finite.
    """
    matrix = table.matrix
    settings = plan.training.resolve(len(matrix), *size)
    budget = Budget(plan.refinement.seconds, settings.recipe)
    check_memory(matrix.dim, *size)
    refined = refines(settings.recipe, matrix, size, machine, plan.refinement)
    check_needs(
        table, codes_bytes(*matrix.shape, size) + plan.stage_bytes(matrix.shape), size,
        refined=refined, output=output,
        work=None if work is None or has_trained(work) else work.path,
    )  # fmt: skip

    def learn_and_encode() -> tuple[np.ndarray, np.ndarray]:
        within = budget.shortened(settings, matrix, machine, refined)
        progress = [] if report is None else [EpochReport(within.iterations, report)]
        learned = learn(matrix, within, machine, weights=weights, extensions=progress, work=work)
        if not refined:
            learned.warn_if_poor()
        return encode(learned.chain, matrix, machine), learned.chain.export_codebook()

    if work is None:
        codes, codebook = learn_and_encode()
    else:
        codes, codebook = trained_once(work, learn_and_encode)
    coded = refine_codes(
        matrix, codes, codebook, machine,
        refinement=budget.rest(plan.refinement) if refined else None,
        weights=weights, seed=settings.seed, work=work,
    )  # fmt: skip
    return coded, facts_of(settings.recipe, settings.seed, coded, weights)


def code(
    chain: CompositionalAutoencoder,
    matrix: EmbeddingMatrix,
    machine: Machine,
    *,
    refinement: RefinementSettings | None,
    weights: np.ndarray | None = None,
    seed: int = 0,
    batch_size: int = ENCODING_BATCH,
) -> Coded:
    """Encodes rows with a trained autoencoder, and refines codes and codebook.

    Args:
        chain: The autoencoder, on the machine's device.
        matrix: The rows, ``(N, D)``.
        machine: The machine to compute on.
        refinement: The settings of refinement; None for none.
        weights: The weight of each row in refinement, float64 ``(N,)``; None for equal weights.
        seed: Seed of everything random in refinement.
        batch_size: Number of rows to encode at a time.

    Raises:
        InputError: The matrix has another number of columns than the chain.
    """
    codes = encode(chain, matrix, machine, batch_size)
    return refine_codes(
        matrix, codes, chain.export_codebook(), machine,
        refinement=refinement, weights=weights, seed=seed,
    )  # fmt: skip


def refine_codes(
    matrix: EmbeddingMatrix,
    codes: np.ndarray,
    codebook: np.ndarray,
    machine: Machine,
    *,
    refinement: RefinementSettings | None,
    weights: np.ndarray | None = None,
    seed: int = 0,
    work: WorkDirectory | None = None,
) -> Coded:
    """Refines codes and codebook, if requested.

    Args:
        matrix: The rows, ``(N, D)``.
        codes: Their codes, ``(N, M)``.
        codebook: float32 ``(M*K, D)``, in the units of the matrix.
        machine: The machine to compute on.
        refinement: The settings of refinement; None for none.
        weights: The weight of each row, float64 ``(N,)``; None for equal weights.
        seed: Seed of everything random.
        work: The work directory in which passes are kept; None for none.
    """
    if refinement is None:
        return Coded(codes, codebook)
    with phase(REFINING):
        refined = refine(
            matrix, codes, codebook,
            weights=weights, seed=seed, machine=machine, settings=refinement, work=work,
        )  # fmt: skip
    return Coded(refined.codes, refined.codebook, refined)


def codes_seconds(
    matrix: EmbeddingMatrix, plan: Plan, size: tuple[int, int], machine: Machine
) -> tuple[float, bool]:
    """Forecasts how long training and refinement take, and whether codes are refined.

    Args:
        matrix: The rows, ``(N, D)``.
        plan: Their target.
        size: M and K.
        machine: The machine to compute on.

    Returns:
        The seconds, and whether codes are refined.

    Raises:
        InputError: A setting cannot be used.
    """
    budget = plan.refinement.seconds
    settings = plan.training.resolve(len(matrix), *size)
    Budget(budget, settings.recipe)
    check_memory(matrix.dim, *size)
    refined = refines(settings.recipe, matrix, size, machine, plan.refinement)
    seconds = settings.iterations * seconds_a_step(matrix, settings, machine)
    if refined:
        seconds += forecast_seconds(matrix, *size, plan.refinement, machine)
    return seconds if budget is None else min(seconds, budget), refined
