"""From codes and a codebook to the compressed embedding of a matrix."""

import os
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.distortion import Distortion, choose_codebook, measure
from nncompress.sources import EmbeddingMatrix
from nncompress.version import __version__


def make_embedding(
    matrix: EmbeddingMatrix,
    codes: np.ndarray,
    codebook: np.ndarray,
    words: Sequence[str | None] | None,
    codebook_dtype: str,
    facts: Mapping[str, object],
    xp: ModuleType = np,
) -> tuple[CompressedEmbedding, Distortion]:
    """Makes a compressed embedding, and measures it.

    Args:
        matrix: The original, ``(N, D)``.
        codes: ``(N, M)``.
        codebook: float32 ``(M*K, D)``.
        words: The word of each row; see ``CompressedEmbedding.from_codes``.
        codebook_dtype: See ``choose_codebook``.
        facts: What is known of how it was made, beside what any table's file tells.
        xp: The array library to measure with; see ``measure``.

    Returns:
        The compressed embedding, and the distortion of the codebook as it was given.

    Raises:
        InputError: The codebook cannot have that type, or a word is no valid string.
    """
    table = CodeTable.of_codes(codes, codebook)
    exact = measure(matrix, table, xp)
    table, distortion = choose_codebook(matrix, table, exact, codebook_dtype, xp)
    provenance = _provenance(matrix, distortion) | dict(facts)
    return CompressedEmbedding.of_table(table, words, provenance), exact


def _provenance(matrix: EmbeddingMatrix, distortion: Distortion) -> dict[str, object]:
    """Returns what the file of any table tells of how it was made."""
    return {
        "made_by": f"chainer-nncompress {__version__}",
        # Not the whole path, for files are passed on; names may hold bytes that are no text.
        "source": os.path.basename(matrix.name).encode("utf-8", "replace").decode("utf-8"),
        "source_shape": list(matrix.shape),
        "objective": "cosine" if matrix.unit_rows else "distance",
        "loss": distortion.loss,
        "mean_distance": distortion.distance,
        "mean_cosine": distortion.cosine,
    }
