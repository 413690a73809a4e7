"""model2vec's StaticModel over a compressed table.

It needs model2vec 0.10 or newer. Without it, ``CompressedEmbedding.encode`` does the same for a
table and a tokenizer.
"""

import shutil
from pathlib import Path
from typing import Any

from nncompress.missing import MissingLibraryError, install_line

try:
    from model2vec import StaticModel as DenseStaticModel
    from model2vec import quantize_model
    from model2vec.model import DEFAULT_MAX_LENGTH
    from model2vec.modelcards import get_metadata_from_readme
    from model2vec.persistence import save_pretrained
    from model2vec.persistence.persistence import _get_paths, _resolve_folder
    from model2vec.types import _UNSET, _UnsetType
except ImportError as error:
    raise MissingLibraryError(
        f"nncompress.static needs model2vec 0.10 or newer ({error}); the extra 'hf' brings it: "
        f"{install_line('hf')}"
    ) from None

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.token_rows import MAPPING, WEIGHTS
from nncompress.errors import InputError
from nncompress.formats.files import atomic_paths, scratch_directory
from nncompress.models.json_files import read_json
from nncompress.models.model2vec_folder import WEIGHTS_FILE, changed_files
from nncompress.models.static_file import (
    MODEL2VEC,
    StaticTable,
    is_compressed,
    read_static,
    write_static,
)
from nncompress.models.static_rows import FLOATS, StaticRows
from nncompress.sources.tokenizer import load_tokenizer

__all__ = ["StaticModel"]


class StaticModel(DenseStaticModel):
    """A static model whose table stays compressed: rows are decoded as texts need them.

    It does everything model2vec's class does, with the same results as on the decoded table. Rows
    are decoded to the type that the model had before compression.

    Examples:
        >>> model = StaticModel.from_pretrained("potion")
        >>> model.encode(["a text", "another"]).shape == (2, model.dim)
        True
    """

    embedding: StaticRows  # type: ignore[assignment]

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        token: str | None = None,
        normalize: bool | None = None,
        subfolder: str | None = None,
        quantize_to: str | None = None,
        dimensionality: int | None = None,
        vocabulary_quantization: int | None = None,
        max_length: int | _UnsetType | None = _UNSET,
        force_download: bool = True,
    ) -> "StaticModel":
        """Opens a folder written by ``nncompress compress``, local or on the Hub.

        The arguments are model2vec's. A folder without a compressed table is opened as model2vec
        opens it.

        Args:
            path: The folder, or the model's name.
            token: The Hub token, for a private model.
            normalize: Whether vectors of texts have length 1; None for the setting in the model's
                config.
            subfolder: The model's folder within that folder.
            quantize_to: The type that rows are decoded to: float16, float32 or float64; None for
                the type that the model had.
            dimensionality: The number of leading columns to use; None for all.
            vocabulary_quantization: Not supported, since it would require a new table.
            max_length: The most tokens used of a text; None for all. The default is the setting
                in the config.
            force_download: Whether to download a model from the Hub even if it is in the cache.

        Raises:
            InputError: An argument does not suit a compressed table, or weights or mapping do not
                fit it.
            FormatError: The table is damaged.
        """
        folder = _resolve_folder(Path(path), subfolder, token, force_download)
        inner = folder / subfolder if subfolder else folder
        layout = _get_paths(inner)
        if not is_compressed(layout.embeddings):
            return super().from_pretrained(
                folder, token, normalize, subfolder, quantize_to, dimensionality,
                vocabulary_quantization, max_length, force_download,
            )  # fmt: skip
        _check_quantization(quantize_to, vocabulary_quantization)
        config = read_json(layout.config, dict)
        static = read_static(layout.embeddings)
        if static.trained:
            raise InputError(
                f"the table in {layout.embeddings} was trained by sentence-transformers after it "
                "was compressed; open the folder with SentenceTransformer"
            )
        extras = static.embedding.extras
        rows: Any = StaticRows(static.rows, str(config.get("embedding_dtype", "float32")))
        metadata = get_metadata_from_readme(inner / "README.md")
        known_length = config.get("max_length", DEFAULT_MAX_LENGTH)
        model = cls(
            vectors=rows,
            tokenizer=load_tokenizer(layout.tokenizer),
            config=config,
            normalize=config.get("normalize", False) if normalize is None else normalize,
            base_model_name=metadata.get("base_model"),
            language=metadata.get("language"),
            weights=extras.get(WEIGHTS),
            token_mapping=extras.get(MAPPING),
            max_length=known_length if isinstance(max_length, _UnsetType) else max_length,
        )
        if quantize_to is None and dimensionality is None:
            return model
        return quantize_model(model, quantize_to=quantize_to, dimensionality=dimensionality)

    def save_pretrained(
        self, path: str | Path, model_name: str | None = None, subfolder: str | None = None
    ) -> None:
        """Writes a folder that ``from_pretrained`` opens, with the same compressed table.

        Args:
            path: The folder. Existing files with the same names are replaced, all or none.
            model_name: The name of the model, for its card; by default that of the folder.
            subfolder: The folder within it to write to.

        Raises:
            InputError: The model uses only some columns, but compressed rows cannot be cut.
            OutputError: A file cannot be written.
        """
        rows: StaticRows | Any = self.embedding
        if not isinstance(rows, StaticRows):
            super().save_pretrained(path, model_name, subfolder)
            return
        if not rows.is_whole:
            raise InputError(
                f"the model uses {rows.shape[1]} of the {rows.embedding.table.dim} columns of its "
                "compressed table, which cannot be cut; pass dimensionality when opening the "
                "original model, and compress that"
            )
        folder = Path(path) / subfolder if subfolder else Path(path)
        with scratch_directory() as scratch:
            own = scratch / "model"
            self._write(own, rows, model_name or folder.name)
            written = sorted(own.iterdir())
            with atomic_paths(*(folder / file.name for file in written)) as finals:
                for file, final in zip(written, finals, strict=True):
                    shutil.copyfile(file, final)

    def _write(self, folder: Path, rows: StaticRows, model_name: str) -> None:
        """Writes model2vec's files with an empty table, and then the compressed table."""
        save_pretrained(
            folder,
            embeddings=np.empty((len(rows), 0), rows.dtype),
            tokenizer=self.tokenizer,
            config=self.config,
            base_model_name=self.base_model_name,
            language=self.language,
            model_name=model_name,
            weights=self.weights,
            mapping=self.token_mapping,
        )
        for file, content in changed_files(folder).items():
            (folder / file).write_bytes(content)
        extras = {**rows.embedding.extras, WEIGHTS: self.weights, MAPPING: self.token_mapping}
        kept = {name: each for name, each in extras.items() if each is not None}
        table, facts = rows.embedding.table, rows.embedding.provenance
        whole = CompressedEmbedding(table, None, facts, extras=kept)
        write_static(folder / WEIGHTS_FILE, StaticTable(whole), MODEL2VEC)


def _check_quantization(quantize_to: str | None, vocabulary_quantization: int | None) -> None:
    """Refuses arguments that would require another table."""
    if vocabulary_quantization is not None:
        raise InputError(
            "vocabulary_quantization was given for a compressed table; pass it when opening the "
            "original model, and compress that"
        )
    if quantize_to is not None and quantize_to not in FLOATS:
        raise InputError(
            f"quantize_to={quantize_to} was given for a compressed table; wanted one of "
            f"{', '.join(FLOATS)}"
        )
