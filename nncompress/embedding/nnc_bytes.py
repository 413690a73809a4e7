"""A compressed embedding as the bytes of its file, to be kept in other containers."""

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.joining import as_one
from nncompress.embedding.nnc_file import Contents, nnc_bytes, nnc_of_bytes


def to_bytes(embedding: CompressedEmbedding) -> np.ndarray:
    """Returns a table, without its words, as the bytes of an ``.nnc`` file, uint8 ``(n,)``."""
    table = as_one(embedding.table)
    parts = nnc_bytes(Contents(table, None, embedding.provenance, embedding.extras))
    return np.frombuffer(bytearray().join(parts), np.uint8)


def of_bytes(data: np.ndarray, name: str = "the tensor") -> CompressedEmbedding:
    """Opens the bytes that ``to_bytes`` returned; the table's arrays share their memory.

    Args:
        data: uint8 ``(n,)``, contiguous.
        name: Their origin, for messages.

    Raises:
        FormatError: The bytes are of another kind or version, incomplete, or altered.
    """
    contents = nnc_of_bytes(data, name)
    return CompressedEmbedding(
        contents.table, contents.vocabulary, contents.provenance, extras=contents.extras
    )
