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
from nncompress.embedding.residual_table import ResidualTable
from nncompress.errors import InputError, OutputError
from nncompress.evaluate.choosing import Chooser
from nncompress.evaluate.curve_file import check_curve, write_curve
from nncompress.evaluate.distortion import Distortion, choose_codebook, warn_if_poor
from nncompress.formats.files import check_output
from nncompress.formats.rescue import write_or_rescue
from nncompress.formats.work import WorkDirectory
from nncompress.job import has_trained, open_work, require_weights, trained_once
from nncompress.machine import Machine
from nncompress.needs import check_needs, codes_bytes
from nncompress.plan import Plan
from nncompress.refinement.refine import Refined, RefinementSettings, refine
from nncompress.refinement.room import no_room
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import SourceTable, files_of, name_of, open_table
from nncompress.sources.weights import check_weights
from nncompress.training.budget import Budget
from nncompress.training.epoch_report import EpochReport
from nncompress.training.memory import check_memory
from nncompress.training.session import learn
from nncompress.trellis.row_weights import bit_weights
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


def compress(
    source: object,
    output: str | os.PathLike | None = None,
    *,
    num_codebooks: int | None = None,
    num_codewords: int | None = None,
    residual_bits: float | None = None,
    bits_per_dim: float | None = None,
    bytes_per_row: float | None = None,
    distance: float | None = None,
    cosine: float | None = None,
    recall: float | None = None,
    adaptive: bool = False,
    words: str | os.PathLike | Sequence[str | None] | None = None,
    tensor: str | None = None,
    limit: int | None = None,
    objective: str = "distance",
    weights: np.ndarray | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    time_budget: float | None = None,
    codebook_dtype: str | None = None,
    seed: int = 0,
    gpu: int = -1,
    threads: int | None = None,
    report: Callable[[str], None] | None = print,
    curve: str | os.PathLike | None = None,
    work: str | os.PathLike | None = None,
) -> CompressedEmbedding:
    """Compresses a table of vectors.

    Without M and K, rows are coded by a trellis alone, in seconds, and one number says how large
    or how good the result is to be: ``residual_bits``, ``bits_per_dim``, ``bytes_per_row``,
    ``distance``, ``cosine`` or ``recall``. With M or K, rows become additive codes, which are
    learnt, and ``residual_bits`` may be spent on what they leave.

    Args:
        source: Text, word2vec's binary format, ``.npy``, safetensors, a Hugging Face folder, an
            array or gensim's KeyedVectors; see ``sources.tables.open_table``.
        output: The ``.nnc`` file to write; None for none.
        num_codebooks: M of additive codes; 32 if K alone is given.
        num_codewords: K of additive codes; 16 if M alone is given.
        residual_bits: The most bits of a row's residual stage in the mean, tables that all rows
            share aside.
        bits_per_dim: The most bits for each number of the table, all counted but words.
        bytes_per_row: The most bytes for each row, all counted but words.
        distance: The largest mean Euclidean distance between rows and their reconstructions.
        cosine: The smallest mean cosine between them.
        recall: The smallest share of rows' 10 nearest neighbours to keep. If nothing else is
            asked for it is 0.9, for tables of 1,000 rows or more; others get a cosine of 0.98.
        adaptive: Whether rows get bits by their weights: those of larger weight are kept more
            closely. Without ``weights``, a row's weight is one over its squared length, so that
            short rows are kept as closely, for their length, as long ones. A cosine or a recall
            is reached so in any case.
        words: The words, where the source has none or others are wanted.
        tensor: The tensor's name in safetensors files.
        limit: Number of leading rows to use.
        objective: ``"distance"``, or ``"cosine"`` to keep the rows' directions alone.
        weights: The weight of each row before ``limit``, ``(N,)``; None: all the same.
        recipe: For additive codes: ``"fast"``, the default, ``"paper"`` (the Chainer port of 2018)
            or ``"authors"`` (the paper authors' own code).
        epochs: For additive codes: passes over the rows; the recipe chooses by default.
        time_budget: For additive codes: seconds to train, encode and refine for, roughly, and
            results depend on the machine's speed then; None: no limit.
        codebook_dtype: For additive codes: ``"float16"``, ``"float32"`` or ``"auto"``, the
            default.
        seed: Seed of everything random. Nothing is where there are no additive codes.
        gpu: Number of the GPU to compute on, -1 for the CPU.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
        report: A function that takes a line for each epoch, and for each point of the curve that a
            residual stage is chosen from; None for silence.
        curve: A file for that curve: a picture (.png, .pdf or .svg), or its numbers (.json).
        work: A directory in which what is computed is kept until the end, so that the same call
            continues one that was interrupted, and comes to the same result; None for none.

    Returns:
        The compressed embedding, opened from the file if one was written.

    Raises:
        InputError: Something given cannot be used. No file has been written then.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite. No file has been written then.

    .. admonition:: Example

        >>> nncompress.compress("glove.6B.300d.txt", "glove.nnc", recall=0.8)
    """
    if isinstance(source, CompressedEmbedding):
        raise InputError(
            f"{source!r} is a compressed embedding already; wanted the original table, or its "
            "to_numpy() to compress it again"
        )
    plan = Plan.of(
        num_codebooks=num_codebooks, num_codewords=num_codewords, residual_bits=residual_bits,
        bits_per_dim=bits_per_dim, bytes_per_row=bytes_per_row, distance=distance, cosine=cosine,
        recall=recall, adaptive=adaptive, objective=objective, recipe=recipe, epochs=epochs,
        time_budget=time_budget, codebook_dtype=codebook_dtype, seed=seed,
        has_weights=weights is not None,
    )  # fmt: skip
    machine = Machine(gpu, threads)
    inputs = [*files_of(source), words]
    if output is not None:
        check_output(output, inputs)
    check_curve(curve, plan.has_residual, inputs)
    with (
        open_work(work, output, plan, machine, {"limit": limit, "tensor": tensor}) as kept,
        open_table(
            source, words=words, tensor=tensor, limit=limit, unit_rows=objective == "cosine",
            work=kept,
        ) as table,
    ):  # fmt: skip
        if weights is not None:
            weights = check_weights(weights, table.matrix)
        return compress_table(
            table, output, plan, machine, weights=weights, report=report, curve=curve, work=kept
        )


def compress_table(
    table: SourceTable,
    output: str | os.PathLike | None,
    plan: Plan,
    machine: Machine,
    *,
    weights: np.ndarray | None = None,
    report: Callable[[str], None] | None = None,
    curve: str | os.PathLike | None = None,
    work: WorkDirectory | None = None,
) -> CompressedEmbedding:
    """Compresses a table that is open already, as ``compress`` does.

    Args:
        table: The table.
        output: The ``.nnc`` file to write; None for none.
        plan: What it is to become.
        machine: The machine to compute on.
        weights: The weight of each row, float64 ``(N,)`` of mean 1; None: all the same.
        report: A function that takes a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The directory in which the job is kept until its end; see ``job.open_work``.

    Raises:
        InputError: Something given cannot be used, or the disk has no room for the result.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite.
    """
    output = None if output is None else Path(output)
    if work is not None:
        require_weights(work, weights)
    if plan.size is None:
        coded, facts = None, _facts(weights)
    else:
        coded, facts = _learn_codes(table, output, plan, plan.size, machine, weights, report, work)
    if coded is None or plan.has_residual:
        embedding = make_residual_embedding(
            table, coded, plan, facts, machine,
            output=output, weights=weights, report=report, curve=curve,
        )  # fmt: skip
    else:
        embedding, _ = make_embedding(
            table.matrix, coded, table.words, plan.codebook_dtype, facts, machine
        )
    if coded is not None:
        coded.warn_if_poor(table.matrix, weights)
    if output is not None:
        _save(embedding, output, work)
        embedding = CompressedEmbedding.load(output)
    if work is not None:
        work.finish()
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


def _save(embedding: CompressedEmbedding, output: Path, work: WorkDirectory | None) -> None:
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
) -> tuple[CompressedEmbedding, Distortion]:
    """Makes a compressed embedding of codes, and measures it.

    Args:
        matrix: The original, ``(N, D)``.
        coded: Its rows as codes.
        words: The word of each row; see ``CompressedEmbedding.from_codes``.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``; see ``choose_codebook``.
        facts: Facts about how it was made, beside those that any table's file tells.
        machine: The machine to measure on.

    Returns:
        The compressed embedding, and the distortion of the codebook in float32.

    Raises:
        InputError: The codebook cannot have that type, or a word is no valid string.
    """
    exact_table = CodeTable.of_codes(coded.codes, coded.codebook)
    table, distortion, exact = choose_codebook(matrix, exact_table, codebook_dtype, machine.xp)
    return CompressedEmbedding.of_table(
        table, words, _provenance(matrix, distortion, facts)
    ), exact


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
    if coded is not None:
        exact = CodeTable.of_codes(coded.codes, coded.codebook)
        # Levels are fitted to what the stored codebook leaves, and make up for its rounding.
        dtype = "int8" if plan.codebook_dtype == "auto" else plan.codebook_dtype
        additive, _, _ = choose_codebook(matrix, exact, dtype, machine.xp)
        remainder = Remainder(
            matrix, coded.codes, additive.codebook.astype(np.float32), total_rows
        )
    chooser = Chooser(
        remainder, plan.target, machine,
        bit_weights(matrix, weights) if plan.has_bits_by_weight else None,
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
        "curve": [each.facts for each in choice.points], "step": point.step,
    }  # fmt: skip
    if point.recall is not None:
        facts["recall"] = point.recall
    provenance = _provenance(matrix, point.distortion, facts)
    return CompressedEmbedding.of_table(ResidualTable(residual, additive), table.words, provenance)


def _provenance(
    matrix: EmbeddingMatrix, distortion: Distortion, facts: Mapping[str, object]
) -> dict[str, object]:
    return {
        "made_by": f"chainer-nncompress {__version__}",
        "source": name_of(matrix.name),
        "source_shape": list(matrix.shape),
        "objective": "cosine" if matrix.unit_rows else "distance",
        "loss": distortion.loss,
        "mean_distance": distortion.distance,
        "mean_cosine": distortion.cosine,
        **facts,
    }


def facts_of(
    recipe: str, seed: int, coded: Coded, weights: np.ndarray | None
) -> dict[str, object]:
    """Returns what an embedding's file tells of its training."""
    refined = coded.refined is not None
    return {"recipe": recipe, "seed": seed, "refined": refined, **_facts(weights)}


def _facts(weights: np.ndarray | None) -> dict[str, object]:
    return {"weighted": weights is not None}
