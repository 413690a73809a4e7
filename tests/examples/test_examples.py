import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from datasets import read_dataset

from nncompress.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
QUICK = "begin_compression_step=5,compression_frequency=1,alpha_decrement_value=0.2"


def run(script, *arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_cifar10_network_is_trained_compressed_and_evaluated(tmp_path):
    hparams = f"--compression-hparams={QUICK}"
    trained = run("cifar10/cifar10_train.py", "--max-steps", 12, hparams, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "local3  384 x 256  low rank" in trained.stdout
    accuracy = trained.stdout.splitlines()[-1]
    assert accuracy.startswith("Accuracy on the test images: 0.")
    evaluated = run("cifar10/cifar10_eval.py", "--run_once", hparams, cwd=tmp_path)
    assert evaluated.stdout.strip() == accuracy
    files = {path.name for path in (tmp_path / "result" / "cifar10_train").iterdir()}
    assert {"final.npz", "model.npz", "log", "accuracy.png", "loss.png"} <= files
    log = json.loads((tmp_path / "result" / "cifar10_train" / "log").read_text())
    assert len(log) == 1
    assert 0 < log[0]["alpha"] < 1  # the mean of the steps
    longer = run("cifar10/cifar10_train.py", "--max-steps", 6, hparams, cwd=tmp_path)
    assert "Alpha is not 0 yet" in longer.stdout
    evaluated = run("cifar10/cifar10_eval.py", "--run_once", hparams, cwd=tmp_path)
    assert evaluated.stdout.strip() == longer.stdout.splitlines()[-1]
    trained = run("cifar10/cifar10_train.py", "--max-steps", 12, hparams, cwd=tmp_path)
    assert trained.stdout.splitlines()[-1] == accuracy
    other = run("cifar10/cifar10_eval.py", "--run_once", "--compression_hparams=rank=100",
                cwd=tmp_path)  # fmt: skip
    assert other.returncode == 2
    assert len(other.stderr.splitlines()) == 1
    missing = run("cifar10/cifar10_eval.py", "--run_once", "--checkpoint_dir=none", cwd=tmp_path)
    assert "train with cifar10_train.py first" in missing.stderr


@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_the_mnist_networks_are_trained_and_compressed(tmp_path, model):
    hparams = f"--compression_hparams={QUICK},compression_option=4,rank=8"
    arguments = ["--model", model, "--max_steps=12", hparams]
    result = run("mnist/mnist_compression.py", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "k-means" in result.stdout


def test_a_mistake_is_one_line_and_status_2(tmp_path):
    for arguments, message in (
        (["--dataset", "mnist"], "scripts/download_images.sh mnist"),
        (["--compression_hparams=rnak=3"], "there is no hyperparameter 'rnak'"),
    ):
        result = run("mnist/mnist_compression.py", *arguments, cwd=tmp_path)
        assert result.returncode == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def test_mnist_is_read_from_idx_files(tmp_path, random):
    images = {part: random.integers(256, size=(5, 28, 28)) for part in ("train", "t10k")}
    labels = {part: random.integers(10, size=5) for part in images}
    for part in images:
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images[part]))
        packed = gzip.compress(idx(labels[part]))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(packed)
    for dataset, part in zip(read_dataset("mnist", tmp_path), ("train", "t10k"), strict=True):
        read = np.array([image for image, _ in dataset[:]])
        np.testing.assert_allclose(read[:, 0], images[part] / 255 - 0.13, atol=1e-6)
        assert [int(label) for _, label in dataset[:]] == labels[part].tolist()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images["train"])[:-1])
    with pytest.raises(InputError, match="is not an idx file of 3 dimensions, or not complete"):
        read_dataset("mnist", tmp_path)


def test_cifar10_is_read_from_its_archive_and_from_its_files(tmp_path, random):
    records = {}
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        data = random.integers(256, size=(4, 3073), dtype=np.uint8)
        data[:, 0] %= 10
        records[f"cifar-10-batches-bin/{name}"] = data
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name, data in records.items():
            info = tarfile.TarInfo(name)
            info.size = data.nbytes
            tar.addfile(info, io.BytesIO(data.tobytes()))
    train, test = read_dataset("cifar10", tmp_path)
    assert (len(train), len(test)) == (20, 4)
    data = records["cifar-10-batches-bin/data_batch_2.bin"][1]
    image, label = train[5]
    assert label == data[0]
    pixels = data[1:].reshape(3, 32, 32).astype(np.float64)
    np.testing.assert_allclose(image, (pixels - pixels.mean()) / pixels.std(), atol=1e-4)
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "cifar-10-binary.tar.gz").unlink()
    assert (read_dataset("cifar10", tmp_path)[0][5][0] == image).all()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="end within a record"):
        read_dataset("cifar10", tmp_path)


def test_the_chain_learns_in_a_trainer_of_ones_own_and_an_extension_of_ones_own_in_ours(tmp_path):
    result = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "chainer" / "own_trainer.py")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    first, *watched, last = result.stdout.splitlines()
    length = np.sqrt(50)  # about that of the rows, which are plain noise
    assert 0.5 * length < float(first.removeprefix("your trainer: ")) < 1.2 * length
    assert [int(line.split()[0]) for line in watched] == list(range(70, 626, 70))
    assert float(last.removeprefix("its validation loss: ")) < 0.6 * 50
    assert len(json.loads((tmp_path / "result" / "log").read_text())) == 5
