"""The one road: open a table, learn, code and refine its rows, make the embedding, save it.

Each step is a function on values in memory. ``compress`` takes them all; the command lines and
``EmbeddingCompressor`` take them one by one, and add files.
"""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import ENCODING_BATCH, encode
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.provenance import ENCODING
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.subword_extras import to_extras
from nncompress.errors import OutputError
from nncompress.evaluate.choosing import Chooser
from nncompress.evaluate.curve_file import write_curve
from nncompress.evaluate.distortion import Distortion, choose_codebook, warn_if_poor
from nncompress.formats.rescue import write_or_rescue
from nncompress.formats.work import WorkDirectory
from nncompress.job import has_trained, require_weights, trained_once
from nncompress.machine import Machine
from nncompress.needs import check_needs, codes_bytes
from nncompress.plan import Plan
from nncompress.refinement.refine import Refined, RefinementSettings, refine
from nncompress.refinement.room import no_room
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import SourceTable, name_of
from nncompress.training.budget import Budget
from nncompress.training.epoch_report import EpochReport
from nncompress.training.memory import check_memory
from nncompress.training.session import learn
from nncompress.trellis.row_weights import bit_weights, usual_unit
from nncompress.trellis.stage import Remainder
from nncompress.version import __version__


@dataclass(frozen=True)
class Coded:
    """A matrix's rows as codes.

    Attributes:
        codes: uint8 or uint16 ``(N, M)``.
        codebook: float32 ``(M*K, D)``, in the units of the matrix.
        refined: The outcome of refinement; None where there was none.
    """

    codes: np.ndarray
    codebook: np.ndarray
    refined: Refined | None = None

    def warn_if_poor(self, matrix: EmbeddingMatrix, weights: np.ndarray | None) -> None:
        """Warns if the rows' mean is nearer to them than their refined codes are.

        Args:
            matrix: The rows, ``(N, D)``.
            weights: The weight of each row in refinement, float64 ``(N,)``; None: all the same.
        """
        if self.refined is not None and self.refined.losses:
            warn_if_poor(self.refined.losses[-1], matrix.mean_row_loss(weights))


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
    if plan.size is None:
        coded, facts = None, _facts(weights)
    else:
        coded, facts = _learn_codes(table, output, plan, plan.size, machine, weights, report, work)
    facts |= _subword_facts(table)
    if coded is None or plan.has_residual:
        embedding = make_residual_embedding(
            table, coded, plan, facts, machine,
            output=output, weights=weights, report=report, curve=curve,
        )  # fmt: skip
    else:
        embedding, _ = make_embedding(
            table.matrix, coded, table.words, plan.codebook_dtype, facts, machine, _extras(table)
        )
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


def make_embedding(
    matrix: EmbeddingMatrix,
    coded: Coded,
    words: Sequence[str | None] | None,
    codebook_dtype: str,
    facts: Mapping[str, object],
    machine: Machine,
    extras: Mapping[str, np.ndarray] | None = None,
) -> tuple[CompressedEmbedding, Distortion]:
    """Makes a compressed embedding of codes, and measures it.

    Args:
        matrix: The original, ``(N, D)``.
        coded: Its rows as codes.
        words: The word of each row; see ``CompressedEmbedding.from_codes``.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``; see ``choose_codebook``.
        facts: Facts about how it was made, beside those that any table's file tells.
        machine: The machine to measure on.
        extras: Arrays that go with the rows, by name.

    Returns:
        The compressed embedding, and the distortion of the codebook in float32.

    Raises:
        InputError: The codebook cannot have that type, or a word is no valid string.
    """
    exact_table = CodeTable.of_codes(coded.codes, coded.codebook)
    table, distortion, exact = choose_codebook(matrix, exact_table, codebook_dtype, machine.xp)
    encoding = {"loss": distortion.loss, "seed": facts.get("seed", 0)}
    provenance = _provenance(matrix, distortion, facts, encoding)
    return CompressedEmbedding.of_table(table, words, provenance, extras), exact


def make_residual_embedding(
    table: SourceTable,
    coded: Coded | None,
    plan: Plan,
    facts: Mapping[str, object],
    machine: Machine,
    *,
    output: Path | None = None,
    weights: np.ndarray | None = None,
    report: Callable[[str], None] | None = None,
    curve: str | os.PathLike | None = None,
) -> CompressedEmbedding:
    """Makes a compressed embedding whose rows have a residual stage.

    Args:
        table: The original.
        coded: Its rows as additive codes; None for none.
        plan: What it is to become.
        facts: Facts about how it was made, beside those that any table's file tells.
        machine: The machine to compute on.
        output: The ``.nnc`` file to be written; None for none.
        weights: The weight of each row, float64 ``(N,)``; None: all the same.
        report: A function that takes a line for each point of the curve.
        curve: A file for the curve; None for none.

    Raises:
        InputError: The target cannot be reached, or the disk has no room for the result.
    """
    matrix = table.matrix
    total_rows = table.total_rows or len(matrix)
    additive, remainder = None, Remainder(matrix, total_rows=total_rows)
    encoding: dict[str, object] = {"seed": plan.training.seed}
    if coded is not None:
        exact = CodeTable.of_codes(coded.codes, coded.codebook)
        # Levels are fitted to what the stored codebook leaves, and make up for its rounding.
        dtype = "int8" if plan.codebook_dtype == "auto" else plan.codebook_dtype
        additive, left, _ = choose_codebook(matrix, exact, dtype, machine.xp)
        encoding["loss"] = left.loss
        remainder = Remainder(
            matrix, coded.codes, additive.codebook.astype(np.float32), total_rows
        )
    chooser = Chooser(
        remainder, plan.target, machine,
        bit_weights(matrix, weights, by_length=plan.has_bits_by_length)
        if plan.has_bits_by_weight else None,
        0 if additive is None else int(additive.row_bytes * total_rows + additive.shared_bytes),
    )  # fmt: skip
    choice = chooser.choose(report)
    if curve is not None:
        write_curve(curve, choice.points, choice.point)
    if coded is None:
        check_needs(
            table, int(choice.point.bytes_per_row * len(matrix)), None,
            refined=False, output=output, work=None,
        )  # fmt: skip
    residual, point = chooser.make(choice)
    if report is not None:
        report(f"All rows:\n{point}")
    facts = {
        **facts, "target": str(chooser.target), "adaptive": plan.has_bits_by_weight,
        "curve": [each.facts for each in choice.points],
    }  # fmt: skip
    encoding["step"] = point.step
    if plan.has_bits_by_weight:
        encoding["adaptive"] = True
        if weights is None:  # those that were given are not known of other rows
            encoding["weight_unit"] = usual_unit(matrix)
    if point.recall is not None:
        facts["recall"] = point.recall
    provenance = _provenance(matrix, point.distortion, facts, encoding)
    compressed = ResidualTable(residual, additive)
    return CompressedEmbedding.of_table(compressed, table.words, provenance, _extras(table))


def _subword_facts(table: SourceTable) -> dict[str, object]:
    """Returns what an embedding's file tells of the rows of n-grams."""
    rows = table.subwords
    if rows is None:
        return {}
    left_out = rows.ngrams.num_buckets - rows.num_buckets
    return {"ngrams": rows.ngrams.kind, "buckets": rows.num_buckets, "buckets_left_out": left_out}


def _extras(table: SourceTable) -> dict[str, np.ndarray]:
    """Returns what goes with a table's rows in its file."""
    return {} if table.subwords is None else to_extras(table.subwords)


def _provenance(
    matrix: EmbeddingMatrix,
    distortion: Distortion,
    facts: Mapping[str, object],
    encoding: Mapping[str, object],
) -> dict[str, object]:
    objective = "cosine" if matrix.unit_rows else "distance"
    return {
        "made_by": f"chainer-nncompress {__version__}",
        "source": name_of(matrix.name),
        "source_shape": list(matrix.shape),
        "objective": objective,
        "loss": distortion.loss,
        "mean_distance": distortion.distance,
        "mean_cosine": distortion.cosine,
        **facts,
        ENCODING: {"objective": objective, **encoding},
    }


def facts_of(
    recipe: str, seed: int, coded: Coded, weights: np.ndarray | None
) -> dict[str, object]:
    """Returns what an embedding's file tells of its training."""
    refined = coded.refined is not None
    return {"recipe": recipe, "seed": seed, "refined": refined, **_facts(weights)}


def _facts(weights: np.ndarray | None) -> dict[str, object]:
    return {"weighted": weights is not None}
