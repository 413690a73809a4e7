"""What a compressed embedding's file tells of how it was made."""

import os

from nncompress.embedding.distortion import Distortion
from nncompress.sources import EmbeddingMatrix
from nncompress.version import __version__


def provenance_of(matrix: EmbeddingMatrix, distortion: Distortion) -> dict[str, object]:
    """Returns what is known of any table: JSON values by name.

    Args:
        matrix: The original.
        distortion: How far the compressed table is from it.
    """
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
