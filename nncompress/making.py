"""Making compressed embeddings from coded rows, with their distance from the original."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.provenance import ENCODING
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.subword_extras import to_extras
from nncompress.evaluate.choosing import Chooser
from nncompress.evaluate.curve_file import write_curve
from nncompress.evaluate.distortion import Distortion, choose_codebook, warn_if_poor
from nncompress.machine import Machine
from nncompress.needs import check_needs
from nncompress.phases import CHOOSING, CODING, CODINGS, FINDING, TRIALS
from nncompress.plan import Plan
from nncompress.progress import phase
from nncompress.refinement.refine import Refined
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import SourceTable, name_of
from nncompress.trellis.row_weights import bit_weights, usual_unit
from nncompress.trellis.stage import Remainder
from nncompress.version import __version__


@dataclass(frozen=True)
class Coded:
    """A matrix's rows as codes.

    Attributes:
        codes: uint8 or uint16 ``(N, M)``.
        codebook: float32 ``(M*K, D)``, in the units of the matrix.
        refined: The outcome of refinement; None if there was none.
    """

    codes: np.ndarray
    codebook: np.ndarray
    refined: Refined | None = None

    def warn_if_poor(self, matrix: EmbeddingMatrix, weights: np.ndarray | None) -> None:
        """Warns if the mean row is closer to the rows than their refined codes are.

        Args:
            matrix: The rows, ``(N, D)``.
            weights: The weight of each row in refinement, float64 ``(N,)``; None for equal
                weights.
        """
        if self.refined is not None and self.refined.losses:
            warn_if_poor(self.refined.losses[-1], matrix.mean_row_loss(weights))


def make_embedding(
    matrix: EmbeddingMatrix,
    coded: Coded,
    words: Sequence[str | None] | None,
    codebook_dtype: str,
    facts: Mapping[str, object],
    machine: Machine,
    extras: Mapping[str, np.ndarray] | None = None,
) -> tuple[CompressedEmbedding, Distortion]:
    """Makes a compressed embedding from codes, and measures it.

    Args:
        matrix: The original, ``(N, D)``.
        coded: Its rows as codes.
        words: The word of each row; see ``CompressedEmbedding.from_codes``.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``; see ``choose_codebook``.
        facts: Facts about how it was made, besides those recorded for any table.
        machine: The machine to measure on.
        extras: Arrays that go with the rows, by name.

    Returns:
        The compressed embedding, and the distortion of the codebook in float32.

    Raises:
        InputError: The codebook cannot have that type, or a word is not a valid string.
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
        plan: Its target.
        facts: Facts about how it was made, besides those recorded for any table.
        machine: The machine to compute on.
        output: The ``.nnc`` file that will be written; None for none.
        weights: The weight of each row, float64 ``(N,)``; None for equal weights.
        report: A function that is called with a line for each point of the curve.
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
        # Levels are fitted to the remainder of the stored codebook, and make up for its rounding.
        dtype = "int8" if plan.codebook_dtype == "auto" else plan.codebook_dtype
        additive, left, _ = choose_codebook(matrix, exact, dtype, machine.xp)
        encoding["loss"] = left.loss
        remainder = Remainder(
            matrix, coded.codes, additive.codebook.astype(np.float32), total_rows
        )
    with phase(FINDING):
        chooser = Chooser(
            remainder, plan.target, machine,
            bit_weights(matrix, weights, by_length=plan.has_bits_by_length)
            if plan.has_bits_by_weight else None,
            0 if additive is None
            else int(additive.row_bytes * total_rows + additive.shared_bytes),
        )  # fmt: skip
    with phase(CHOOSING, TRIALS, "trial", is_steady=False) as counter:
        choice = chooser.choose(report, counter)
    if curve is not None:
        write_curve(curve, choice.points, choice.point)
    if coded is None:
        check_needs(
            table, int(choice.point.bytes_per_row * len(matrix)), None,
            refined=False, output=output, work=None,
        )  # fmt: skip
    with phase(CODING, CODINGS, "coding", is_steady=False) as counter:
        residual, point = chooser.make(choice, counter)
    if report is not None:
        report(f"All rows:\n{point}")
    facts = {
        **facts, "target": str(chooser.target), "adaptive": plan.has_bits_by_weight,
        "curve": [each.facts for each in choice.points],
    }  # fmt: skip
    encoding["step"] = point.step
    if plan.has_bits_by_weight:
        encoding["adaptive"] = True
        if weights is None:  # given weights are unknown for other rows
            encoding["weight_unit"] = usual_unit(matrix)
    if point.recall is not None:
        facts["recall"] = point.recall
    provenance = _provenance(matrix, point.distortion, facts, encoding)
    compressed = ResidualTable(residual, additive)
    return CompressedEmbedding.of_table(
        compressed, table.words, provenance, extras_of_table(table)
    )


def facts_of_subwords(table: SourceTable) -> dict[str, object]:
    """Returns the facts about rows of n-grams that are recorded in an embedding's file."""
    rows = table.subwords
    if rows is None:
        return {}
    left_out = rows.ngrams.num_buckets - rows.num_buckets
    return {"ngrams": rows.ngrams.kind, "buckets": rows.num_buckets, "buckets_left_out": left_out}


def extras_of_table(table: SourceTable) -> dict[str, np.ndarray]:
    """Returns the arrays that go with a table's rows in its file."""
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
    """Returns the facts about training that are recorded in an embedding's file."""
    refined = coded.refined is not None
    return {
        "recipe": recipe, "seed": seed, "refined": refined, "weighted": weights is not None,
    }  # fmt: skip
