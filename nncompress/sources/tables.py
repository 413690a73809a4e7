"""Opening an embedding matrix and its words, in whatever form people have them."""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nncompress.errors import InputError, OutputError
from nncompress.formats.files import atomic_path, clear_up, scratch_directory, sha256_of
from nncompress.formats.npy import Rows, map_npy, write_npy
from nncompress.formats.space import check_space
from nncompress.formats.work import WorkDirectory
from nncompress.sources.hugging_face import INDEX, find_tokens, open_tensor, read_tokens
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.normalization import Statistics
from nncompress.sources.row_checks import SMALLEST_NORMAL, magnitudes_of
from nncompress.sources.streams import COMPRESSED, locate, open_stream
from nncompress.sources.text_vectors import read_text
from nncompress.sources.vocabulary import check_words
from nncompress.sources.word2vec_binary import is_word2vec_binary, read_word2vec_binary

# What is kept of a file that was converted.
_MATRIX, _TABLE = "matrix", "table"
_FASTTEXT_MAGIC = (793_712_314).to_bytes(4, "little")


@dataclass(frozen=True)
class SourceTable:
    """An embedding matrix with its words.

    Attributes:
        matrix: The embedding matrix, ``(N, D)``.
        words: The word of each row or None; there may be fewer words than rows. None: no words.
    """

    matrix: EmbeddingMatrix
    words: list[str | None] | None


@contextmanager
def open_table(
    source: object,
    *,
    words: str | os.PathLike | Sequence[str | None] | None = None,
    tensor: str | None = None,
    limit: int | None = None,
    unit_rows: bool = False,
    work: WorkDirectory | None = None,
) -> Iterator[SourceTable]:
    """Opens an embedding matrix and its words.

    Args:
        source: One of
            - a path of text (GloVe's and word2vec's format, fastText's ``.vec``) or of word2vec's
              binary format, compressed if the name ends in ``.gz``, ``.xz`` or ``.zip``; a file
              within a zip as ``vectors.zip/vectors.50d.txt``;
            - a path of a ``.npy`` file, whose words are in the file of the same name that ends in
              ``.word``, if there is one;
            - a path of a ``.safetensors`` file, of ``model.safetensors.index.json``, or of a
              Hugging Face folder, whose words are in ``tokenizer.json`` or ``vocab.txt`` beside
              the tensors, if they are there;
            - an array ``(N, D)``, an ``EmbeddingMatrix``, or gensim's KeyedVectors.
        words: The words instead of those: a list with None for rows without, or the path of a
            file with one a line or of a ``tokenizer.json``.
        tensor: The name of the tensor in safetensors files.
        limit: Number of leading rows to use.
        unit_rows: True to divide rows by their lengths.
        work: Where a matrix that is converted stays for the next time; the same table is required
            then. None: nowhere.

    Yields:
        The table. A matrix that was converted lies in a temporary file for as long.

    Raises:
        InputError: The source is missing, of no known kind, or damaged, or there are more words
            than rows, or none though some were to be there. Fewer words than rows are a warning.
    """
    options = {"limit": limit, "unit_rows": unit_rows}
    with scratch_directory() as scratch:
        if isinstance(source, (str, os.PathLike)):
            matrix, found = _open_path(Path(source), scratch, tensor, options, work)
        else:
            matrix, found = _wrap(source, options)
        if words is not None:
            if isinstance(words, (str, os.PathLike)):
                found = read_tokens(Path(words))
            else:
                found = list(words)
        if found is not None:
            if not found:
                raise InputError(
                    f"there is no word for the {matrix.total_rows} rows of {matrix.name}; wanted "
                    "a word for each, or no file or list of words"
                )
            if len(found) > matrix.total_rows:
                raise InputError(
                    f"{matrix.name} has {matrix.total_rows} rows for {len(found)} words; wanted a "
                    "row for each word"
                )
            found = found[: len(matrix)]
            check_words(found)
            if wordless := len(matrix) - len(found):
                warnings.warn(
                    f"{len(found)} words for {len(matrix)} rows of {matrix.name}: "
                    f"{wordless} at the end have no word, and are reached by number",
                    stacklevel=3,
                )
        if work is not None:
            work.require({"the words' SHA-256": _sum_of_words(found)})
            work.require({"the matrix's digest": matrix.digest().hex()})
        yield SourceTable(matrix, found)
        del matrix  # a file that is mapped cannot be removed everywhere


def files_of(source: object) -> list[Path]:
    """Returns the files that a source may be read from, so that none of them is written over.

    Args:
        source: Anything that ``open_table`` takes.
    """
    if not isinstance(source, (str, os.PathLike)):
        return []
    path = Path(source)
    if path.is_dir():
        return [file for file in path.iterdir() if file.is_file()]
    archives = [parent for parent in path.parents if parent.suffix == ".zip"]
    beside = [path.with_suffix(".word")]
    if path.suffix == ".safetensors" or path.name.endswith(INDEX):
        beside = list(path.parent.glob("*.safetensors"))
        beside += [path.parent / "tokenizer.json", path.parent / "vocab.txt"]
    return [path, *archives, *beside]


def _wrap(source: object, options: dict) -> tuple[EmbeddingMatrix, list[str | None] | None]:
    if isinstance(source, EmbeddingMatrix):
        if options["limit"] is not None or options["unit_rows"] != source.unit_rows:
            raise InputError(
                "a limit or an objective was given with an EmbeddingMatrix, which has its own; "
                "make it with limit and unit_rows, or give the array"
            )
        return source, None
    if hasattr(source, "index_to_key") and hasattr(source, "vectors"):
        return EmbeddingMatrix(source.vectors, "the vectors", **options), list(source.index_to_key)
    return EmbeddingMatrix(np.asanyarray(source), **options), None


def _sum_of_words(words: list[str | None] | None) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def _open_path(
    path: Path, scratch: Path, tensor: str | None, options: dict, work: WorkDirectory | None
) -> tuple[EmbeddingMatrix, list[str | None] | None]:
    if path.is_dir() or path.suffix == ".safetensors" or path.name.endswith(INDEX):
        matrix = open_tensor(path, tensor, **options)
        tokens = find_tokens(path)
        return matrix, None if tokens is None else read_tokens(tokens)
    if tensor is not None:
        raise InputError(f"{path} has no named tensors; leave the tensor's name out")
    if path.suffix == ".codes" or path.name.endswith(".codebook.npy"):
        what = "codes" if path.suffix == ".codes" else "the codebook"
        raise InputError(
            f"{path} is by its name {what} of a table that is compressed already; wanted the "
            "original table, or make a .nnc file of codes and codebook with: nncompress import"
        )
    if path.suffix == ".npy":
        clear_up(path.parent)
        matrix = EmbeddingMatrix.open(path, **options)
        words = path.with_suffix(".word")
        return matrix, read_tokens(words) if words.is_file() else None
    return _convert(path, scratch, options, work)


def _convert(
    path: Path, scratch: Path, options: dict, work: WorkDirectory | None
) -> tuple[EmbeddingMatrix, list[str | None]]:
    """Converts text or word2vec's binary format to a ``.npy`` file that is kept for a while."""
    file, _ = locate(path)
    _refuse_others(path)
    arrays: Mapping[str, np.ndarray]
    if work is None:
        place = scratch / "matrix.npy"
        _check_room(path, scratch.parent)
        with _naming(place):
            arrays = _write_matrix(path, place)
    else:
        place = work.state_path(_MATRIX)
        status = file.stat()
        changed = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(" ")
        work.require({
            "the source": f"{path.resolve()} of {status.st_size:,} bytes, changed {changed}"
        })  # fmt: skip
        arrays = _kept(work) or _keep(work, path)
    words: list[str | None] = [*arrays["words"].tobytes().decode("utf-8").split("\n")[:-1]]
    # What is handed out later is what went by, unless rows are left out or divided.
    as_they_are = options["limit"] is None and not options["unit_rows"]
    known = Statistics.of_arrays(arrays) if as_they_are and "total" in arrays else None
    return EmbeddingMatrix(map_npy(place), str(path), **options, statistics=known), words


def _write_matrix(path: Path, place: Path) -> dict[str, np.ndarray]:
    """Writes the ``.npy`` file; returns the words' bytes, and statistics of finite columns."""
    read = read_word2vec_binary if is_word2vec_binary(path) else read_text
    lines: list[bytes] = []
    columns = _Columns()
    write_npy(place, columns.watch(read(path)), lines.append)
    statistics = columns.statistics.arrays if columns.usable and columns.statistics else {}
    return {"words": np.frombuffer(b"".join(lines), np.uint8), **statistics}


@contextmanager
def _naming(place: Path) -> Iterator[None]:
    """Turns an error in writing a temporary file into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, place, os.fspath(place)):
            raise
        raise OutputError(
            f"{place} cannot be written: {error.strerror}; wanted room for the converted matrix, "
            "so name another place for temporary files (TMPDIR) or for work files (--work)",
            error.errno,
        ) from error


def _keep(work: WorkDirectory, path: Path) -> dict[str, np.ndarray]:
    """Converts a file, and keeps what comes out."""
    _check_room(path, work.path)
    place = work.state_path(_MATRIX)
    with atomic_path(place) as temporary:
        arrays = _write_matrix(path, temporary)
    work.save(_TABLE, arrays, {"matrix": sha256_of(place)})
    return arrays


def _kept(work: WorkDirectory) -> Mapping[str, np.ndarray] | None:
    """Returns what was kept; None if that is not all, or not intact."""
    state, place = work.load(_TABLE), work.state_path(_MATRIX)
    if state is None or not place.is_file():
        return None
    if sha256_of(place) == state.facts["matrix"]:
        return state.arrays
    work.discard_damaged(_MATRIX)
    return None


def _check_room(path: Path, directory: Path) -> None:
    check_space(
        {directory: _converted_bytes(path)},
        f"the matrix of {path.name}",
        "name another place for temporary files (TMPDIR) or for work files (--work)",
    )


def _converted_bytes(path: Path) -> int:
    """Returns about how large a matrix is in float32; 0 where that cannot be told."""
    file, member = locate(path)
    size = file.stat().st_size
    if member is not None or file.suffix in COMPRESSED:
        return 0
    if is_word2vec_binary(path):
        return size
    with open_stream(path) as stream:
        text = stream.read(1 << 16)
    lines = text.splitlines()[1:-1] or [text]  # the first may be a header, the last is cut
    return (
        4 * size * sum(line.count(b" ") for line in lines) // (sum(map(len, lines)) + len(lines))
    )


class _Columns:
    """Measures the columns of rows that go by."""

    def __init__(self) -> None:
        self.statistics: Statistics | None = None
        self.usable = True

    def watch(self, rows: Rows) -> Rows:
        for tokens, values in rows:
            if self.statistics is None:
                self.statistics = Statistics(values.shape[1])
            magnitudes = magnitudes_of(values)
            good = (magnitudes == 0) | (magnitudes >= SMALLEST_NORMAL) & (magnitudes < np.inf)
            self.usable = self.usable and bool(good.all())
            if self.usable:
                self.statistics.add(values)
            yield tokens, values


def _refuse_others(path: Path) -> None:
    """Refuses what is known not to be text."""
    with open_stream(path) as stream:
        start = stream.read(8)
    known = {
        b"\x80": "is a Python pickle (gensim's or PyTorch's own format), which is never opened "
        "here; load it with its library and give the object to nncompress.compress",
        b"PK": "is a zip archive; give it a name that ends in .zip if it holds word vectors",
        _FASTTEXT_MAGIC: "is a fastText model; give its .vec file, or an array of its vectors",
        b"\x93NUMPY": "is a .npy file; give it a name that ends in .npy",
        b"\x1f\x8b": "is compressed with gzip; give it a name that ends in .gz",
        b"\xfd7zXZ": "is compressed with xz; give it a name that ends in .xz",
    }
    for magic, problem in known.items():
        if start.startswith(magic):
            raise InputError(f"{path} {problem}")
    if path.suffix == ".nnc":
        raise InputError(f"{path} is a compressed embedding already; wanted the original table")
