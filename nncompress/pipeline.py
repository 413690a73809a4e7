"""The one road: open a table, learn, code and refine its rows, make the embedding, save it.

Each step is a function on values in memory. ``compress`` takes them all; the command lines and
``EmbeddingCompressor`` take them one by one, and add files.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import ENCODING_BATCH, encode
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import OutputError
from nncompress.formats.rescue import write_or_rescue
from nncompress.formats.work import WorkDirectory
from nncompress.job import has_trained, require_weights, trained_once
from nncompress.machine import Machine
from nncompress.making import (
    Coded,
    extras_of_table,
    facts_of,
    facts_of_subwords,
    make_embedding,
    make_residual_embedding,
)
from nncompress.needs import check_needs, codes_bytes
from nncompress.plan import Plan
from nncompress.refinement.refine import RefinementSettings, refine
from nncompress.refinement.room import no_room
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import SourceTable
from nncompress.training.budget import Budget
from nncompress.training.epoch_report import EpochReport
from nncompress.training.memory import check_memory
from nncompress.training.session import learn


def make_table(
    table: SourceTable,
    plan: Plan,
    machine: Machine,
    *,
    output: str | os.PathLike | None = None,
    weights: np.ndarray | None = None,
    report: Callable[[str], None] | None = None,
    curve: str | os.PathLike | None = None,
    work: WorkDirectory | None = None,
) -> CompressedEmbedding:
    """Compresses a table that is open already, as ``compress`` does, in memory.

    Args:
        table: The table.
        plan: What it is to become.
        machine: The machine to compute on.
        output: The ``.nnc`` file that will be written, for which there has to be room; None for
            none.
        weights: The weight of each row, float64 ``(N,)`` of mean 1; None: all the same.
        report: A function that takes a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The directory in which the job is kept, see ``job.open_work``; its end is the
            caller's to tell.

    Raises:
        InputError: Something given cannot be used, or the disk has no room for the result.
        Diverged: A loss or a parameter is not finite.
    """
    output = None if output is None else Path(output)
    if work is not None:
        require_weights(work, weights)
    coded: Coded | None = None
    facts: dict[str, object] = {"weighted": weights is not None}
    if plan.size is not None:
        coded, facts = _learn_codes(table, output, plan, plan.size, machine, weights, report, work)
    facts |= facts_of_subwords(table)
    if coded is None or plan.has_residual:
        embedding = make_residual_embedding(
            table, coded, plan, facts, machine,
            output=output, weights=weights, report=report, curve=curve,
        )  # fmt: skip
    else:
        embedding, _ = make_embedding(
            table.matrix, coded, table.words, plan.codebook_dtype, facts, machine,
            extras_of_table(table),
        )  # fmt: skip
    if coded is not None:
        coded.warn_if_poor(table.matrix, weights)
    return embedding


def _learn_codes(
    table: SourceTable,
    output: Path | None,
    plan: Plan,
    size: tuple[int, int],
    machine: Machine,
    weights: np.ndarray | None,
    report: Callable[[str], None] | None,
    work: WorkDirectory | None,
) -> tuple[Coded, dict[str, object]]:
    """Trains, encodes and refines; returns the rows as codes, and facts about how."""
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


def save_table(
    embedding: CompressedEmbedding, output: str | os.PathLike, work: WorkDirectory | None = None
) -> CompressedEmbedding:
    """Writes what ``make_table`` has made.

    Args:
        embedding: The compressed table.
        output: The ``.nnc`` file.
        work: The directory in which the job is kept.

    Returns:
        The compressed table, opened from the file.

    Raises:
        OutputError: The file cannot be written. The message says where the result is instead.
    """
    _write(embedding, Path(output), work)
    return CompressedEmbedding.load(output)


def _write(embedding: CompressedEmbedding, output: Path, work: WorkDirectory | None) -> None:
    if work is None:
        write_or_rescue(output.parent, lambda place: embedding.save(place / output.name))
        return
    try:
        embedding.save(output)
    except OutputError as error:
        raise OutputError(
            f"{error}; what was computed is in {work.path}, so give the command again with more "
            "room or another output",
            error.errno,
        ) from error


def refines(
    recipe: str,
    matrix: EmbeddingMatrix,
    size: tuple[int, int],
    machine: Machine,
    refinement: RefinementSettings,
) -> bool:
    """Tells whether codes of a recipe are refined where nothing else is asked for.

    Under the fast recipe they are, unless that takes more memory than is free, or more time than
    there is, which a warning says.

    Args:
        recipe: The recipe's name.
        matrix: The rows, ``(N, D)``.
        size: M and K.
        machine: The machine to compute on.
        refinement: The settings of refinement.
    """
    if recipe != "fast":
        return False
    reason = no_room(*matrix.shape, size[0] * size[1], machine, refinement.seconds)
    if reason is not None:
        warnings.warn(
            f"{reason}: codes and codebook stay as training leaves them; a smaller M or K is "
            "refined",
            stacklevel=3,
        )
    return reason is None


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
    """Encodes rows by a trained autoencoder, and refines codes and codebook.

    Args:
        chain: The autoencoder, on the machine's device.
        matrix: The rows, ``(N, D)``.
        machine: The machine to compute on.
        refinement: The settings of refinement; None for none.
        weights: The weight of each row in refinement, float64 ``(N,)``; None: all the same.
        seed: Seed of everything random in refinement.
        batch_size: Rows that are encoded at a time.

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
    """Refines codes and codebook, if that is asked for.

    Args:
        matrix: The rows, ``(N, D)``.
        codes: Their codes, ``(N, M)``.
        codebook: float32 ``(M*K, D)``, in the units of the matrix.
        machine: The machine to compute on.
        refinement: The settings of refinement; None for none.
        weights: The weight of each row, float64 ``(N,)``; None: all the same.
        seed: Seed of everything random.
        work: Where passes are kept; None: nowhere.
    """
    if refinement is None:
        return Coded(codes, codebook)
    refined = refine(
        matrix, codes, codebook,
        weights=weights, seed=seed, machine=machine, settings=refinement, work=work,
    )  # fmt: skip
    return Coded(refined.codes, refined.codebook, refined)
