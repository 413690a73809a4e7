"""Images for the examples: CIFAR-10's binary archive, MNIST's idx files, scikit-learn's digits."""

import gzip
import tarfile
from pathlib import Path

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError

DATASETS = ("digits", "cifar10", "mnist")
Split = tuple[chainer.datasets.TupleDataset, chainer.datasets.TupleDataset]
_CIFAR_RECORD = 1 + 3 * 32 * 32


def read_dataset(name: str, directory: Path) -> Split:
    """Returns training and test images, float32 ``(n, channels, height, width)``, and labels.

    Args:
        name: One of ``DATASETS``; digits need no files.
        directory: Directory with the files of the others.

    Raises:
        InputError: A file is missing or not what it should be.
    """
    if name == "digits":
        return _digits()
    parts = [
        _cifar10(directory, part) if name == "cifar10" else _mnist(directory, part)
        for part in ("train", "test")
    ]
    return tuple(chainer.datasets.TupleDataset(*part) for part in parts)


def _digits() -> Split:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images[:, None] / 16.0 - 0.3).astype(np.float32)
    labels = bunch.target.astype(np.int32)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:1_400], order[1_400:]
    return tuple(
        chainer.datasets.TupleDataset(images[rows], labels[rows]) for rows in (train, test)
    )


def _cifar10(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the records of ``cifar-10-binary.tar.gz``, or of the files in it."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if part == "train" else ["test_batch.bin"]
    archive = directory / "cifar-10-binary.tar.gz"
    data = []
    for name in names:
        path = directory / "cifar-10-batches-bin" / name
        if path.is_file():
            data.append(path.read_bytes())
        elif archive.is_file():
            with tarfile.open(archive) as tar:
                try:
                    data.append(tar.extractfile(f"cifar-10-batches-bin/{name}").read())
                except (KeyError, AttributeError):
                    raise InputError(f"{archive} holds no {name}; wanted CIFAR-10") from None
        else:
            raise InputError(
                f"{path} does not exist; get it with scripts/download_images.sh cifar10"
            )
    records = np.frombuffer(b"".join(data), np.uint8)
    if len(records) % _CIFAR_RECORD:
        raise InputError(f"{directory}: CIFAR-10's {part} files end within a record")
    records = records.reshape(-1, _CIFAR_RECORD)
    images = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255.0
    images -= images.mean(axis=(1, 2, 3), keepdims=True)
    images /= np.maximum(images.std(axis=(1, 2, 3), keepdims=True), 1 / 55.0)
    return images, records[:, 0].astype(np.int32)


def _mnist(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    stem = "train" if part == "train" else "t10k"
    images = _read_idx(directory, f"{stem}-images-idx3-ubyte", 3)
    labels = _read_idx(directory, f"{stem}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise InputError(f"{directory}: {len(images)} images and {len(labels)} labels of MNIST")
    return images[:, None].astype(np.float32) / 255.0 - 0.13, labels.astype(np.int32)


def _read_idx(directory: Path, name: str, dimensions: int) -> np.ndarray:
    """Reads an idx file of bytes, gzip-compressed or not."""
    path = directory / name
    packed = path.with_name(f"{name}.gz")
    if path.is_file():
        data = path.read_bytes()
    elif packed.is_file():
        data = gzip.decompress(packed.read_bytes())
    else:
        raise InputError(f"{path} does not exist; get it with scripts/download_images.sh mnist")
    header = 4 + 4 * dimensions
    shape = np.frombuffer(data[4:header], ">u4") if len(data) >= header else ()
    if data[:4] != bytes([0, 0, 8, dimensions]) or len(data) != header + np.prod(shape, dtype=int):
        raise InputError(f"{path} is not an idx file of {dimensions} dimensions, or not complete")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
