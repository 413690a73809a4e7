"""sentence-transformers' StaticEmbedding over a compressed table.

A folder's ``modules.json`` names the class of each module. sentence-transformers imports classes
from other packages only with ``trust_remote_code=True``, unless they are registered, which
``register`` does.
"""

from pathlib import Path
from typing import Any

from nncompress.missing import brought_by

with brought_by("hf"):
    from sentence_transformers.base.model import BaseModel
    from sentence_transformers.base.modules.input_module import InputModule
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

from nncompress.embedding.bridges.torch_bag import TableEmbeddingBag, beside
from nncompress.embedding.bridges.torch_module import TRAINED
from nncompress.embedding.nnc_bytes import of_bytes
from nncompress.errors import InputError
from nncompress.models.model2vec_folder import COMPRESSED_TYPE, TOKENIZER_FILE, WEIGHTS_FILE
from nncompress.models.static_file import (
    MODEL2VEC,
    SENTENCE_TRANSFORMERS,
    StaticTable,
    read_static,
    write_static,
)
from nncompress.models.static_module import table_embedding
from nncompress.sources.tokenizer import load_tokenizer


class CompressedStaticEmbedding(StaticEmbedding):
    """Takes the mean of token vectors, as StaticEmbedding does, from a compressed table.

    Rows are decoded as texts need them. ``embedding.table`` is a ``TableEmbedding``, whose
    ``train_codebook`` makes the codebook trainable.

    Args:
        tokenizer: The tokenizer of the table's tokens. Its padding is turned off, as in
            StaticEmbedding.
        embedding: The table.
        base_model: The name of the model that the table comes from, for the model card.

    Raises:
        InputError: The tokenizer has more tokens than the table.
    """

    embedding: TableEmbeddingBag  # type: ignore[assignment]

    def __init__(
        self, tokenizer: Tokenizer, embedding: TableEmbeddingBag, base_model: str | None = None
    ) -> None:
        InputModule.__init__(self)  # StaticEmbedding's own would create a table
        self.embedding = embedding
        self.num_embeddings = embedding.num_embeddings
        self.embedding_dim = embedding.embedding_dim
        if tokenizer.get_vocab_size() > self.num_embeddings:
            raise InputError(
                f"the tokenizer has {tokenizer.get_vocab_size()} tokens, but the table has "
                f"{self.num_embeddings} rows; use the tokenizer that the table was made with"
            )
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        self.base_model = base_model

    def save(
        self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any
    ) -> None:
        """Writes the compressed table and the tokenizer to a folder.

        Raises:
            InputError: ``safe_serialization`` is False, which asks for a pickle.
        """
        if not safe_serialization:
            raise InputError(
                "safe_serialization=False asks for a pickle, but a compressed table can only be "
                f"written to {WEIGHTS_FILE}"
            )
        table, buffers = self.embedding.table, dict(self.embedding.named_buffers(recurse=False))
        embedding = of_bytes(table.nnc.cpu().numpy())
        embedding.extras |= {name: own.cpu().numpy() for name, own in buffers.items()}
        parts = {name: getattr(table, name) for name in TRAINED}
        trained = {k: own.detach().cpu().numpy() for k, own in parts.items() if own is not None}
        # sentence-transformers accepts weights and mapping only with model2vec's table name.
        name = MODEL2VEC if buffers else SENTENCE_TRANSFORMERS
        write_static(Path(output_path) / WEIGHTS_FILE, StaticTable(embedding, trained), name)
        self.tokenizer.save(str(Path(output_path) / TOKENIZER_FILE))

    @classmethod
    def load(  # type: ignore[override]
        cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any
    ) -> "CompressedStaticEmbedding":
        """Opens a local folder or a model from the Hub.

        Args:
            model_name_or_path: The model's folder or name.
            subfolder: The module's folder in it.
            kwargs: The options of sentence-transformers for finding files: token, cache_folder,
                revision and local_files_only. Options for other modules are ignored, as in
                StaticEmbedding.

        Raises:
            InputError: A file is missing, or the files do not belong together.
            FormatError: The table is damaged.
        """
        where = ("token", "cache_folder", "revision", "local_files_only")
        found = {own: kwargs[own] for own in where if own in kwargs}
        paths = []
        for name in (TOKENIZER_FILE, WEIGHTS_FILE):
            path = cls.load_file_path(model_name_or_path, name, subfolder=subfolder, **found)
            if path is None:
                raise InputError(
                    f"{model_name_or_path} has no {Path(subfolder) / name}; wanted the folder of "
                    "a compressed static model"
                )
            paths.append(path)
        static = read_static(paths[1])
        bag = TableEmbeddingBag(table_embedding(static), **beside(static.embedding.extras))
        return cls(load_tokenizer(paths[0]), bag)


def register() -> None:
    """Registers with sentence-transformers the class named by compressed static models."""
    known = {COMPRESSED_TYPE: CompressedStaticEmbedding}
    BaseModel._module_classes = {**BaseModel._module_classes, **known}
