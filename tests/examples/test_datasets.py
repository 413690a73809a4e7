import gzip
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from datasets import read_dataset, read_part

from nncompress.errors import InputError


def test_mnist_is_read_from_idx_files(mnist):
    directory, parts = mnist
    for dataset, part in zip(read_dataset("mnist", directory), ("train", "t10k"), strict=True):
        images, labels = parts[part]
        read = np.array([image for image, _ in dataset[:]])
        np.testing.assert_allclose(read[:, 0], images / 255 - 0.13, atol=1e-6)
        assert [int(label) for _, label in dataset[:]] == labels.tolist()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train-images-idx3-ubyte", lambda data: data[:-1], "complete idx file of 3 dimensions"),
        ("train-labels-idx1-ubyte.gz", lambda data: data[:-9], "is damaged"),
        ("train-labels-idx1-ubyte.gz", lambda data: b"no gzip", "is damaged"),
        (
            "train-labels-idx1-ubyte.gz",
            lambda data: gzip.compress(gzip.decompress(data)[:-1] + b"\x0a"),
            "have the label 10; wanted 0 to 9",
        ),
        ("train-images-idx3-ubyte", lambda data: bytes(50_000_000), "wanted at most"),
    ],
)
def test_damaged_files_of_mnist_are_refused(mnist, name, change, message):
    path = mnist[0] / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        read_part("mnist", mnist[0], "train")


def test_a_gzip_file_that_swells_is_not_read_to_its_end(mnist):
    path = mnist[0] / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(20_000_000)))
    with pytest.raises(InputError, match="not a complete idx file"):
        read_part("mnist", mnist[0], "train")


def test_cifar10_is_read_from_its_archive_and_from_its_files(
    cifar_archive, cifar_folder, cifar_records
):
    for directory in (cifar_archive, cifar_folder):
        train, test = read_dataset("cifar10", directory)
        assert (len(train), len(test)) == (5 * 8, 8)
        for image, label, record in (
            (*train[9], cifar_records["data_batch_2.bin"][1]),
            (*test[3], cifar_records["test_batch.bin"][3]),
        ):
            assert label == record[0]
            # A plane of each colour, row by row.
            assert image[2, 5, 7] == record[1 + 2 * 1_024 + 5 * 32 + 7]
            assert (image == record[1:].reshape(3, 32, 32)).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"short", "are empty or cut off"),
        (b"", "are empty or cut off"),
        (b"\x0a" + bytes(3_072), "have the label 10; wanted 0 to 9"),
        (bytes(10_001 * 3_073), "wanted at most 30,730,000"),
    ],
)
def test_damaged_files_of_cifar10_are_refused(cifar_folder, data, message):
    (cifar_folder / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_dataset("cifar10", cifar_folder)


def test_damaged_archives_of_cifar10_are_refused(cifar_archive):
    path = cifar_archive / "cifar-10-binary.tar.gz"
    whole = path.read_bytes()
    checksum = whole[:-6] + bytes([whole[-6] ^ 255]) + whole[-5:]
    for damaged in (
        whole[: len(whole) // 2], b"no archive", whole[:500] + bytes(300), checksum, whole[:-5],
    ):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"is damaged .*scripts/download_images.sh cifar10"):
            read_part("cifar10", cifar_archive, "train")
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(InputError, match=r"has no cifar-10-batches-bin/test_batch.bin"):
        read_part("cifar10", cifar_archive, "test")


def test_what_is_missing_is_told_with_the_command_that_gets_it_and_the_alternative(
    tmp_path, cifar_folder, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(cifar_folder)
    for name in ("cifar10", "mnist"):
        with pytest.raises(InputError) as caught:
            read_dataset(name, Path("data"))
        assert f"get it with scripts/download_images.sh {name}, or" in str(caught.value)
        assert "--data digits" in str(caught.value)
    with pytest.raises(InputError, match=r"scripts/download_images.sh mnist elsewhere, or"):
        read_dataset("mnist", Path("elsewhere"))


@pytest.mark.parametrize("shape", [(0, 28, 28), (3, 0, 0), (3, 28, 20), (3, 3, 3)])
def test_images_of_mnist_of_another_shape_are_refused(tmp_path, shape):
    images, labels = np.array(shape, ">u4"), np.array(shape[:1], ">u4")
    for name, sizes in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        header = bytes([0, 0, 8, len(sizes)]) + sizes.tobytes()
        (tmp_path / name).write_bytes(header + bytes(sizes.prod()))
    with pytest.raises(InputError, match=r"MNIST's train images are .* wanted images of 28 x 28"):
        read_part("mnist", tmp_path, "train")
