"""Images for the examples: CIFAR-10's binary archive, MNIST's idx files, scikit-learn's digits."""

import gzip
import tarfile
import zlib
from pathlib import Path

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError

# The names used in printed text.
TITLES = {"cifar10": "CIFAR-10", "mnist": "MNIST", "digits": "scikit-learn's digits"}
PARTS = ("train", "test")
Split = tuple[chainer.datasets.TupleDataset, chainer.datasets.TupleDataset]
_CIFAR_RECORD = 1 + 3 * 32 * 32
_MOST_RECORDS, _MOST_IMAGES = 10_000, 60_000  # in a file of CIFAR-10, and of MNIST
_NUM_CLASSES = 10
_PIECE = 1 << 20  # bytes to skip at a time
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)


def read_dataset(name: str, directory: Path) -> Split:
    """Returns the training and test images with their labels, as ``read_part`` does."""
    train, test = (read_part(name, directory, part) for part in PARTS)
    return train, test


def read_part(name: str, directory: Path, part: str) -> chainer.datasets.TupleDataset:
    """Returns images ``(n, channels, height, width)`` and labels, int32 ``(n,)``.

    Args:
        name: One of ``TITLES``. CIFAR-10's images are bytes, as in its files; the others are
            float32, roughly centred on 0.
        directory: Directory with the files; digits need none.
        part: ``train`` or ``test``.

    Raises:
        InputError: A file is missing or invalid.
    """
    read = {"cifar10": _cifar10, "mnist": _mnist, "digits": _digits}[name]
    images, labels = read(directory, part)
    if len(labels) and labels.max() >= _NUM_CLASSES:
        raise InputError(
            f"{directory}: {TITLES[name]}'s {part} files have the label {labels.max()}; wanted "
            f"0 to {_NUM_CLASSES - 1}"
        )
    return chainer.datasets.TupleDataset(images, labels.astype(np.int32))


def _digits(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    rows = order[:1_400] if part == "train" else order[1_400:]
    images = (bunch.images[:, None] / 16.0 - 0.3).astype(np.float32)
    return images[rows], bunch.target[rows]


def _cifar10(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the records of the files in ``cifar-10-batches-bin``, or of their archive."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if part == "train" else ["test_batch.bin"]
    folder = directory / "cifar-10-batches-bin"
    archive = directory / "cifar-10-binary.tar.gz"
    if all((folder / name).is_file() for name in names):
        data = [_limited(folder / name, _MOST_RECORDS * _CIFAR_RECORD) for name in names]
    elif archive.is_file():
        data = _in_archive(archive, [f"{folder.name}/{name}" for name in names])
    else:
        raise _missing(archive, "cifar10")
    if any(not part or len(part) % _CIFAR_RECORD for part in data):
        raise InputError(
            f"{directory}: CIFAR-10's {part} files are empty or cut off; wanted whole records of "
            f"{_CIFAR_RECORD:,} bytes"
        )
    records = np.frombuffer(b"".join(data), np.uint8).reshape(-1, _CIFAR_RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def _in_archive(archive: Path, names: list[str]) -> list[bytes]:
    """Returns the contents of files in an archive, reading it to the end to check its CRC."""
    found = {}
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                if member.name in names and member.isfile():
                    if member.size > _MOST_RECORDS * _CIFAR_RECORD:
                        raise InputError(
                            f"{archive}: {member.name} has {member.size:,} bytes; wanted at most "
                            f"{_MOST_RECORDS:,} records of {_CIFAR_RECORD:,}"
                        )
                    found[member.name] = tar.extractfile(member).read()
            while stream.read(_PIECE):
                pass
    except _DAMAGED as error:
        raise InputError(
            f"{archive} is damaged ({error}); remove it, and download it again with "
            "scripts/download_images.sh cifar10"
        ) from None
    for name in names:
        if name not in found:
            raise InputError(f"{archive} has no {name}; wanted CIFAR-10's binary version")
    return [found[name] for name in names]


def _mnist(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    stem = "train" if part == "train" else "t10k"
    images = _read_idx(directory, f"{stem}-images-idx3-ubyte", 3)
    labels = _read_idx(directory, f"{stem}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise InputError(
            f"{directory}: MNIST has {len(images)} images and {len(labels)} labels; wanted as "
            "many labels as images"
        )
    if not len(images) or images.shape[1:] != (28, 28):
        shape = " x ".join(map(str, images.shape))
        raise InputError(
            f"{directory}: MNIST's {part} images are {shape}; wanted images of 28 x 28"
        )
    return images[:, None].astype(np.float32) / 255.0 - 0.13, labels


def _read_idx(directory: Path, name: str, dimensions: int) -> np.ndarray:
    """Reads an idx file of bytes, gzip-compressed or not."""
    path = directory / name
    packed = path.with_name(f"{name}.gz")
    header = 4 + 4 * dimensions
    most = header + _MOST_IMAGES * 28 ** (2 * (dimensions == 3))
    if path.is_file():
        data = _limited(path, most)
    elif packed.is_file():
        path = packed
        try:
            with gzip.open(path) as file:
                data = file.read(most + 1)
        except _DAMAGED as error:
            raise InputError(
                f"{path} is damaged ({error}); remove it, and download it again with "
                "scripts/download_images.sh mnist"
            ) from None
    else:
        raise _missing(packed, "mnist")
    shape = np.frombuffer(data[4:header], ">u4") if len(data) >= header else ()
    if data[:4] != bytes([0, 0, 8, dimensions]) or len(data) != header + np.prod(shape, dtype=int):
        raise InputError(f"{path} is not a complete idx file of {dimensions} dimensions")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _limited(path: Path, most: int) -> bytes:
    """Returns the contents of a file; refuses a file that is too large."""
    if path.stat().st_size > most:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes; wanted at most {most:,}")
    return path.read_bytes()


def _missing(path: Path, name: str) -> InputError:
    """Returns an error that says how to get a missing data set."""
    place = "" if path.parent == Path("data") else f" {path.parent}"
    return InputError(
        f"{path} does not exist; get it with scripts/download_images.sh {name}{place}, or use "
        "scikit-learn's digits, which need no download, with --data digits"
    )
