"""Opening an embedding matrix and its words, in any of the forms that people keep them in."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.files import atomic_path, clear_up, scratch_directory, sha256_of
from nncompress.formats.npy import map_npy
from nncompress.formats.work import WorkDirectory
from nncompress.sources.conversion import (
    blocks_of,
    check_room,
    converted_bytes,
    naming,
    refuse_by_name,
    text_blocks,
    write_matrix,
)
from nncompress.sources.hugging_face import (
    INDEX,
    SUFFIX,
    find_tensor,
    find_tokens,
    map_tensor,
)
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.normalization import Statistics
from nncompress.sources.open_rows import (
    TableRows,
    check_own_settings,
    is_model,
    is_path,
    is_text,
    open_stored,
    read_words,
    vectors_of,
)
from nncompress.sources.places import LocalPlace, is_url
from nncompress.sources.row_checks import check_limit
from nncompress.sources.row_words import check_count, warn_of_wordless
from nncompress.sources.stored.zarr import is_zarr
from nncompress.sources.streams import locate
from nncompress.sources.subword_rows import SubwordModel, SubwordRows
from nncompress.sources.subword_sources import check_subword_settings, subword_model
from nncompress.sources.vocabulary import check_words

# The files that are kept after a conversion.
_MATRIX, _TABLE = "matrix", "table"


@dataclass(frozen=True)
class SourceTable:
    """An embedding matrix with its words.

    Attributes:
        matrix: The embedding matrix, ``(N, D)``.
        words: The word of each row, or None for a row without one; there may be fewer words than
            rows. None: no words.
        total_rows: The number of rows in the table that these are a sample of; None: these are
            all.
        subwords: The rows that belong to words' character n-grams; None: there are none.
    """

    matrix: EmbeddingMatrix
    words: list[str | None] | None
    total_rows: int | None = None
    subwords: SubwordRows | None = None


@contextmanager
def open_table(
    source: object,
    *,
    words: str | os.PathLike | Sequence[str | None] | None = None,
    tensor: str | None = None,
    limit: int | None = None,
    unit_rows: bool = False,
    work: WorkDirectory | None = None,
    prune: bool = False,
    corpus: str | os.PathLike | None = None,
    is_large: Callable[[int, int], bool] = lambda num_rows, dim: False,
    subwords: SubwordRows | None = None,
) -> Iterator[SourceTable]:
    """Opens an embedding matrix and its words.

    Args:
        source: One of
            - a path of text (GloVe's and word2vec's format, fastText's ``.vec``) or of word2vec's
              binary format, compressed if the name ends in ``.gz``, ``.xz``, ``.bz2`` or ``.zip``;
              a file within a zip as ``vectors.zip/vectors.50d.txt``;
            - a path of a ``.npy`` file, whose words are in the file of the same name that ends in
              ``.word``, if there is one;
            - a path of a ``.safetensors`` file, of ``model.safetensors.index.json``, or of a
              Hugging Face folder, whose words are in ``tokenizer.json`` or ``vocab.txt`` beside
              the tensors, if they are there;
            - a path of Zarr or Parquet, a URL of ``.npy``, safetensors or these, or a list of such
              paths and URLs (shards), as ``open_rows`` takes them; what cannot be mapped is
              converted;
            - a path of fastText's ``.bin``, which is recognized by its first bytes, or of floret's
              text: the rows of words, then those of the buckets of their n-grams;
            - an array ``(N, D)``, an ``EmbeddingMatrix``, gensim's KeyedVectors or a model that
              has them, or spaCy's vectors in floret mode.
        words: The words to use instead: a list with None for rows without one, the path of a file
            with one a line or of a ``tokenizer.json``, or a column of Parquet.
        tensor: The name of the tensor in safetensors files, of the array in a Zarr group, or of
            the column in Parquet.
        limit: Number of leading rows to use; for fastText, of leading words.
        unit_rows: True to divide rows by their lengths.
        work: The directory that keeps a converted matrix for the next time, which must then be
            given the same table. None: it is not kept.
        prune: Whether to leave out the buckets of n-grams that no word has.
        corpus: With ``prune``, a text whose words' n-grams are kept too.
        is_large: Tells, given N and D, whether there are too many rows of words and n-grams.
        subwords: The words and buckets to open of a table with n-grams, as another table has them;
            None: all, or those that ``limit`` and ``prune`` leave.

    Yields:
        The table. A converted matrix lies in a temporary file until the context ends.

    Raises:
        InputError: The source is missing, of no known kind, or damaged; or there are more words
            than rows, or none although some were expected. Fewer words than rows cause a warning.
    """
    options = {"limit": limit, "unit_rows": unit_rows}
    source = vectors_of(source)
    model = subword_model(source)
    if model is None and prune:
        raise InputError(
            "--prune was given, which leaves out buckets of n-grams, but the table has no rows "
            "for n-grams; drop --prune"
        )
    with scratch_directory() as scratch:
        if model is not None:
            check_subword_settings(model.name, words, tensor, unit_rows)
            check_limit(limit)
            model = model.limited(limit)
            if prune:
                model = model.pruned(corpus)
            if subwords is not None:
                model = model.like(subwords)
            if is_large(model.num_rows, model.dim):
                raise InputError(
                    f"{model.name} has {model.num_rows:,} rows of words and n-grams; wanted "
                    "fewer, so leave out those of n-grams that no word has (--prune), or rare "
                    "words (--limit)"
                )
            converted = _convert_model(model, corpus if prune else None, scratch, work)
            del model  # its file is mapped, and would stay in memory
            yield converted
            return
        used = False
        if is_path(source):
            matrix, found, used = _open_path(source, tensor, words, scratch, options, work)
        else:
            matrix, found = _wrap(source, options)
        if words is not None and not used:
            found = read_words(words)
        if found is not None:
            check_count(len(found), matrix.name, matrix.total_rows)
            found = found[: len(matrix)]
            check_words(found)
            warn_of_wordless(found, matrix.name, len(matrix))
        if work is not None:
            work.require({"the words' SHA-256": _sum_of_words(found)})
            work.require({"the matrix's digest": matrix.digest().hex()})
        yield SourceTable(matrix, found)
        del matrix  # some systems cannot remove a mapped file


def files_of(source: object) -> list[Path]:
    """Returns the files that a source may be read from, so that none of them is overwritten.

    Args:
        source: Anything that ``open_table`` takes.
    """
    if isinstance(source, (list, tuple)):
        return [file for one in source if is_path(one) for file in files_of(one)]
    if not isinstance(source, (str, os.PathLike)):
        return []
    if is_url(source):
        scheme, _, path_of_url = str(source).partition("://")
        return files_of(path_of_url) if scheme in ("file", "local") else []
    path = Path(source)
    if path.is_dir():
        is_deep = is_zarr(LocalPlace(path))  # its chunks are in directories of their own
        return [file for file in (path.rglob if is_deep else path.glob)("*") if file.is_file()]
    archives = [parent for parent in path.parents if parent.suffix == ".zip"]
    beside = [path.with_suffix(".word")]
    if path.suffix == SUFFIX or path.name.endswith(INDEX):
        beside = list(path.parent.glob(f"*{SUFFIX}"))
        beside += [path.parent / "tokenizer.json", path.parent / "vocab.txt"]
    return [path, *archives, *beside]


def name_of(source: str) -> str:
    """Returns the name of a table without its directories, as files are shared with others.

    Args:
        source: A path or a description, which may hold bytes that are not text.
    """
    return os.path.basename(source).encode("utf-8", "replace").decode("utf-8")


def _wrap(source: Any, options: dict) -> tuple[EmbeddingMatrix, list[str | None] | None]:
    if isinstance(source, EmbeddingMatrix):
        check_own_settings(source, options["limit"], options["unit_rows"])
        return source, None
    if hasattr(source, "index_to_key") and hasattr(source, "vectors"):
        return EmbeddingMatrix(source.vectors, "the vectors", **options), list(source.index_to_key)
    return EmbeddingMatrix(source, **options), None


def _sum_of_words(words: list[str | None] | None) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def _open_path(
    source: Any, tensor: str | None, words: object, scratch: Path, options: dict,
    work: WorkDirectory | None,
) -> tuple[EmbeddingMatrix, list[str | None] | None, bool]:  # fmt: skip
    """Opens a path, a URL or several.

    Returns:
        The matrix, its words, and whether these were taken from ``words``.
    """
    path = None if is_url(source) or isinstance(source, (list, tuple)) else Path(source)
    if path is not None:
        place = LocalPlace(path)
        if is_text(place):
            if tensor is not None:
                raise InputError(f"{path} has no named tensors; leave the tensor's name out")
            refuse_by_name(path)
            return *_convert_text(path, scratch, options, work), False
        if path.suffix == ".npy" and tensor is None:
            refuse_by_name(path)
            clear_up(path.parent)
            matrix = EmbeddingMatrix.open(path, **options)
            beside = path.with_suffix(".word")
            return matrix, read_words(beside) if beside.is_file() else None, False
        if is_model(place):
            parts = find_tensor(place, tensor)
            if len(parts) == 1 and not parts[0].tensor.dtype.startswith("F8"):
                tokens = find_tokens(place)
                matrix = map_tensor(parts[0], **options)
                return matrix, None if tokens is None else read_words(tokens.name), False
    column = words if isinstance(words, (str, os.PathLike)) else None
    with open_stored(source, column, tensor) as found:
        limit = options["limit"]
        rows = TableRows(found.rows, found.words, limit)
        matrix = _convert_rows(rows, scratch, options["unit_rows"], work)
        matrix.total_rows = found.rows.num_rows
        return (
            matrix,
            None if found.words is None else found.words.read(0, len(found.words)),
            found.took_words,
        )


def _convert_text(
    path: Path, scratch: Path, options: dict, work: WorkDirectory | None
) -> tuple[EmbeddingMatrix, list[str | None]]:
    """Converts text or word2vec's binary format to a ``.npy`` file, kept temporarily."""
    blocks = text_blocks(path)

    def write(place: Path) -> dict[str, np.ndarray]:
        lines: list[bytes] = []
        statistics = write_matrix(blocks, place, lines.append)
        return {"words": np.frombuffer(b"".join(lines), np.uint8), **statistics}

    files = [LocalPlace(locate(path)[0]).identity()]
    place, arrays = _converted(str(path), files, converted_bytes(path), write, scratch, work)
    words: list[str | None] = [*arrays["words"].tobytes().decode("utf-8").split("\n")[:-1]]
    # The rows handed out later are those that passed through, unless some are left out or divided.
    as_they_are = options["limit"] is None and not options["unit_rows"]
    known = Statistics.of_arrays(arrays) if as_they_are and "total" in arrays else None
    return EmbeddingMatrix(map_npy(place), str(path), **options, statistics=known), words


def _convert_model(
    model: SubwordModel, corpus: str | os.PathLike | None, scratch: Path,
    work: WorkDirectory | None,
) -> SourceTable:  # fmt: skip
    """Converts rows of words and n-grams to a ``.npy`` file, kept temporarily."""

    def write(place: Path) -> dict[str, np.ndarray]:
        return write_matrix(model.blocks(), place, lambda lines: None)

    files = list(model.files)
    if corpus is not None:
        files.append(LocalPlace(locate(Path(corpus), "a text")[0]).identity())
    if work is not None:
        work.require({"the number of rows": model.num_rows})
    num_bytes = 4 * model.num_rows * model.dim
    place, arrays = _converted(model.name, files, num_bytes, write, scratch, work)
    known = Statistics.of_arrays(arrays) if "total" in arrays else None
    check_words(model.words)
    matrix = EmbeddingMatrix(map_npy(place), model.name, statistics=known)
    if work is not None:
        work.require({"the words' SHA-256": _sum_of_words(model.words)})
        work.require({"the matrix's digest": matrix.digest().hex()})
    return SourceTable(matrix, model.words, subwords=model.rows)


def _convert_rows(
    rows: TableRows, scratch: Path, unit_rows: bool, work: WorkDirectory | None
) -> EmbeddingMatrix:
    """Converts rows of any kind to a ``.npy`` file, kept temporarily."""

    def write(place: Path) -> dict[str, np.ndarray]:
        return write_matrix(blocks_of(rows), place, lambda lines: None)

    num_bytes = 4 * rows.num_rows * rows.dim
    files: Any = rows.identity()["files"]
    if work is not None:
        work.require({"the number of rows": rows.num_rows})
    place, arrays = _converted(rows.name, files, num_bytes, write, scratch, work)
    known = Statistics.of_arrays(arrays) if not unit_rows and "total" in arrays else None
    return EmbeddingMatrix(map_npy(place), rows.name, unit_rows=unit_rows, statistics=known)


def _converted(
    name: str, files: list[dict], num_bytes: int,
    write: Callable[[Path], dict[str, np.ndarray]], scratch: Path, work: WorkDirectory | None,
) -> tuple[Path, Mapping[str, np.ndarray]]:  # fmt: skip
    """Writes the ``.npy`` file, or finds it in the work directory.

    Returns:
        The file's path, and the arrays that are kept with it.
    """
    if work is None:
        place = scratch / "matrix.npy"
        check_room(num_bytes, name, scratch.parent)
        with naming(place):
            return place, write(place)
    place = work.state_path(_MATRIX)
    work.require({"the source": _described(files)})
    kept = _kept(work)
    if kept is None:
        check_room(num_bytes, name, work.path)
        with atomic_path(place) as temporary:
            kept = write(temporary)
        work.save(_TABLE, kept, {"matrix": sha256_of(place)})
    return place, kept


def _described(files: list[dict]) -> str:
    """Returns a line that describes the files and differs when they do."""
    facts = ", ".join(f"{key} {value}" for key, value in files[0].items() if key != "name")
    if len(files) == 1:
        return f"{files[0]['name']} ({facts})"
    digest = hashlib.blake2b(json.dumps(files).encode(), digest_size=8).hexdigest()
    return f"{files[0]['name']} ({facts}) and {len(files) - 1} more, with the digest {digest}"


def _kept(work: WorkDirectory) -> Mapping[str, np.ndarray] | None:
    """Returns the arrays that were kept; None if one is missing or damaged."""
    state, place = work.load(_TABLE), work.state_path(_MATRIX)
    if state is None or not place.is_file():
        return None
    if sha256_of(place) == state.facts["matrix"]:
        return state.arrays
    work.discard_damaged(_MATRIX)
    return None
