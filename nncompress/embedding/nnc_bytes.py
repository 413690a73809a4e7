"""A compressed embedding as the bytes of its file, for containers of others that hold it."""

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.joining import as_one
from nncompress.embedding.nnc_file import Contents, nnc_bytes, nnc_of_bytes


def to_bytes(embedding: CompressedEmbedding) -> np.ndarray:
    """Returns the bytes of the ``.nnc`` file of a table, without its words, uint8 ``(n,)``."""
    table = as_one(embedding.table)
    parts = nnc_bytes(Contents(table, None, embedding.provenance, embedding.extras))
    return np.frombuffer(bytearray().join(parts), np.uint8)


def of_bytes(data: np.ndarray, name: str = "the tensor") -> CompressedEmbedding:
    """Opens what ``to_bytes`` returned; the table's arrays share its memory.

    Args:
        data: uint8 ``(n,)``, contiguous.
        name: What holds them, for messages.

    Raises:
        FormatError: They are something else, of another version, not complete, or altered.
    """
    contents = nnc_of_bytes(data, name)
    return CompressedEmbedding(
        contents.table, contents.vocabulary, contents.provenance, extras=contents.extras
    )
