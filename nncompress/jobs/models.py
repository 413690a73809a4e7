"""Opening models from their own files, directories of shards, or tables."""

import os
from pathlib import Path

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import is_model_file, read_model
from nncompress.embedding.sharded_table import shards_of
from nncompress.embedding.table_directory import MODEL_FILE, is_table_directory


def open_model(path: str | os.PathLike) -> Model:
    """Opens a model.

    Args:
        path: A model file, or a directory of shards or a ``.nnc`` file whose model to open.

    Raises:
        InputError: There is no such file.
        FormatError: The file is of another kind, or damaged.
    """
    path = Path(path)
    if is_table_directory(path):
        return read_model(path / MODEL_FILE)[0]
    if is_model_file(path):
        return read_model(path)[0]
    embedding = CompressedEmbedding.load(path)
    return Model.of_table(shards_of(embedding.table)[0], embedding.provenance)
