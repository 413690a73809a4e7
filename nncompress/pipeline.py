"""From a table of vectors to a compressed embedding in one call."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nncompress.compressor import EmbeddingCompressor
from nncompress.device import get_device
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.distortion import check_codebook_dtype
from nncompress.errors import InputError
from nncompress.files import check_output
from nncompress.refinement.refine import RefinementSettings
from nncompress.sources.tables import SourceTable, open_table
from nncompress.training.settings import OBJECTIVES


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
    max_epochs: int | None = None,
    time_budget: float | None = None,
    codebook_dtype: str = "auto",
    seed: int = 0,
    device: int = -1,
    threads: int | None = None,
    report: Callable[[str], None] | None = print,
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
        recipe: ``"fast"`` or ``"paper"``.
        max_epochs: Passes over the rows; the recipe chooses by default.
        time_budget: Seconds to refine for, roughly; None: no limit.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``.
        seed: Seed of everything random.
        device: Number of the GPU to compute on, -1 for the CPU.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
        report: Takes a line for each epoch; None for silence.

    Returns:
        The compressed embedding, opened from the file if one was written.

    Raises:
        InputError: Something given cannot be used. No file has been written then.

    .. admonition:: Example

        >>> nncompress.compress("glove.6B.300d.txt", "glove.nnc")
    """
    check_codebook_dtype(codebook_dtype)
    get_device(device)
    if output is not None:
        check_output(output, [source, words])
    if objective not in OBJECTIVES:
        raise InputError(f"no objective {objective!r}; wanted one of {', '.join(OBJECTIVES)}")
    unit_rows = objective == "cosine"
    with open_table(source, words=words, tensor=tensor, limit=limit, unit_rows=unit_rows) as table:
        return compress_table(
            table, output, num_codebooks, num_codewords,
            weights=weights, recipe=recipe, max_epochs=max_epochs, time_budget=time_budget,
            codebook_dtype=codebook_dtype, seed=seed, device=device, threads=threads,
            report=report,
        )  # fmt: skip


def compress_table(
    table: SourceTable,
    output: str | os.PathLike | None,
    num_codebooks: int,
    num_codewords: int,
    *,
    time_budget: float | None,
    codebook_dtype: str,
    device: int,
    threads: int | None,
    **training: object,
) -> CompressedEmbedding:
    """Does what ``compress`` does, with a table that is open already."""
    refinement = RefinementSettings(seconds=time_budget)
    with tempfile.TemporaryDirectory(prefix="nncompress-") as scratch:
        compressor = EmbeddingCompressor(
            num_codebooks, num_codewords, Path(scratch) / "model", device=device, threads=threads
        )
        compressor.train(table.matrix, refinement=refinement, **training)
        embedding = compressor.to_embedding(table.words, codebook_dtype=codebook_dtype)
    if output is None:
        return embedding
    embedding.save(output)
    return CompressedEmbedding.load(output)
