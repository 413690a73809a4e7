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
from nncompress.errors import InputError, OutputError
from nncompress.evaluate.distortion import (
    Distortion,
    check_codebook_dtype,
    choose_codebook,
    warn_if_poor,
)
from nncompress.formats.files import check_output
from nncompress.formats.rescue import write_or_rescue
from nncompress.formats.work import WorkDirectory
from nncompress.job import has_trained, open_work, require_weights, trained_once
from nncompress.machine import Machine
from nncompress.needs import check_needs
from nncompress.refinement.refine import Refined, RefinementSettings, refine
from nncompress.refinement.room import no_room
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import SourceTable, files_of, open_table
from nncompress.sources.weights import check_weights
from nncompress.training.epoch_report import EpochReport
from nncompress.training.memory import check_memory
from nncompress.training.session import learn
from nncompress.training.settings import OBJECTIVES, TrainingOptions
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
    num_codebooks: int = 32,
    num_codewords: int = 16,
    words: str | os.PathLike | Sequence[str | None] | None = None,
    tensor: str | None = None,
    limit: int | None = None,
    objective: str = "distance",
    weights: np.ndarray | None = None,
    recipe: str = "fast",
    epochs: int | None = None,
    time_budget: float | None = None,
    codebook_dtype: str = "auto",
    seed: int = 0,
    gpu: int = -1,
    threads: int | None = None,
    report: Callable[[str], None] | None = print,
    work: str | os.PathLike | None = None,
) -> CompressedEmbedding:
    """Compresses a table of vectors.

    Args:
        source: Text, word2vec's binary format, ``.npy``, safetensors, a Hugging Face folder, an
            array or gensim's KeyedVectors; see ``sources.tables.open_table``.
        output: The ``.nnc`` file to write; None for none.
        num_codebooks: M.
        num_codewords: K.
        words: The words, where the source has none or others are wanted.
        tensor: The tensor's name in safetensors files.
        limit: Number of leading rows to use.
        objective: ``"distance"``, or ``"cosine"`` to keep the rows' directions alone.
        weights: The weight of each row before ``limit``, ``(N,)``; None: all the same.
        recipe: ``"fast"``, ``"paper"`` (the Chainer port of 2018) or ``"authors"`` (the paper
            authors' own code).
        epochs: Passes over the rows; the recipe chooses by default.
        time_budget: Seconds to refine for, roughly; None: no limit.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``.
        seed: Seed of everything random.
        gpu: Number of the GPU to compute on, -1 for the CPU.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
        report: A function that takes a line for each epoch; None for silence.
        work: A directory in which what is computed is kept until the end, so that the same call
            continues one that was interrupted, and comes to the same result; None for none.

    Returns:
        The compressed embedding, opened from the file if one was written.

    Raises:
        InputError: Something given cannot be used. No file has been written then.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite. No file has been written then.

    .. admonition:: Example

        >>> nncompress.compress("glove.6B.300d.txt", "glove.nnc")
    """
    if isinstance(source, CompressedEmbedding):
        raise InputError(
            f"{source!r} is a compressed embedding already; wanted the original table, or its "
            "to_numpy() to compress it again"
        )
    check_codebook_dtype(codebook_dtype)
    options = TrainingOptions(recipe=recipe, epochs=epochs, seed=seed)
    refinement = RefinementSettings(seconds=time_budget)
    machine = Machine(gpu, threads)
    if output is not None:
        check_output(output, [*files_of(source), words])
    if objective not in OBJECTIVES:
        raise InputError(f"no objective {objective!r}; wanted one of {', '.join(OBJECTIVES)}")
    unit_rows = objective == "cosine"
    size = num_codebooks, num_codewords
    with (
        open_work(work, output, size, options, machine, refinement, {
            "limit": limit, "tensor": tensor, "objective": objective,
            "codebook_dtype": codebook_dtype,
        }) as kept,
        open_table(
            source, words=words, tensor=tensor, limit=limit, unit_rows=unit_rows, work=kept
        ) as table,
    ):  # fmt: skip
        if weights is not None:
            weights = check_weights(weights, table.matrix)
        return compress_table(
            table, output, size, options, machine, weights=weights, refinement=refinement,
            codebook_dtype=codebook_dtype, report=report, work=kept,
        )  # fmt: skip


def compress_table(
    table: SourceTable,
    output: str | os.PathLike | None,
    size: tuple[int, int],
    options: TrainingOptions,
    machine: Machine,
    *,
    weights: np.ndarray | None = None,
    refinement: RefinementSettings = RefinementSettings(),
    codebook_dtype: str = "auto",
    report: Callable[[str], None] | None = None,
    work: WorkDirectory | None = None,
) -> CompressedEmbedding:
    """Compresses a table that is open already, as ``compress`` does.

    Args:
        table: The table.
        output: The ``.nnc`` file to write; None for none.
        size: M and K.
        options: The settings that training is asked for.
        machine: The machine to compute on.
        weights: The weight of each row, float64 ``(N,)`` of mean 1; None: all the same.
        refinement: The settings of refinement.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``.
        report: A function that takes a line for each epoch; None for silence.
        work: The directory in which the job is kept until its end; see ``job.open_work``.

    Raises:
        InputError: Something given cannot be used, or the disk has no room for the result.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite.
    """
    matrix = table.matrix
    settings = options.resolve(len(matrix), *size)
    if settings.recipe != "fast" and refinement.seconds is not None:
        raise InputError(
            f"a time budget is for refinement, and the recipe {settings.recipe} is not refined; "
            "leave it out"
        )
    refined = refines(settings.recipe, matrix, size, machine, refinement)
    output = None if output is None else Path(output)
    check_memory(matrix.dim, *size)
    check_needs(
        matrix.shape, size, table.words, refined=refined, output=output,
        work=None if work is None or has_trained(work) else work.path,
    )  # fmt: skip
    if work is not None:
        require_weights(work, weights)

    def learn_and_encode() -> tuple[np.ndarray, np.ndarray]:
        progress = [] if report is None else [EpochReport(settings.iterations, report)]
        learned = learn(matrix, settings, machine, weights=weights, extensions=progress, work=work)
        if not refined:
            learned.warn_if_poor()
        return encode(learned.chain, matrix, machine), learned.chain.export_codebook()

    if work is None:
        codes, codebook = learn_and_encode()
    else:
        codes, codebook = trained_once(work, learn_and_encode)
    coded = refine_codes(
        matrix, codes, codebook, machine,
        refinement=refinement if refined else None,
        weights=weights, seed=settings.seed, work=work,
    )  # fmt: skip
    facts = facts_of(settings.recipe, settings.seed, coded, weights)
    embedding, _ = make_embedding(matrix, coded, table.words, codebook_dtype, facts, machine)
    coded.warn_if_poor(matrix, weights)
    if output is not None:
        _save(embedding, output, work)
        embedding = CompressedEmbedding.load(output)
    if work is not None:
        work.finish()
    return embedding


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
    provenance = {
        "made_by": f"chainer-nncompress {__version__}",
        # Not the whole path, for files are passed on; names may hold bytes that are no text.
        "source": os.path.basename(matrix.name).encode("utf-8", "replace").decode("utf-8"),
        "source_shape": list(matrix.shape),
        "objective": "cosine" if matrix.unit_rows else "distance",
        "loss": distortion.loss,
        "mean_distance": distortion.distance,
        "mean_cosine": distortion.cosine,
        **facts,
    }
    return CompressedEmbedding.of_table(table, words, provenance), exact


def facts_of(
    recipe: str, seed: int, coded: Coded, weights: np.ndarray | None
) -> dict[str, object]:
    """Returns what an embedding's file tells of its training."""
    refined, weighted = coded.refined is not None, weights is not None
    return {"recipe": recipe, "seed": seed, "refined": refined, "weighted": weighted}
