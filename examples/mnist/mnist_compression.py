#!/usr/bin/env python
"""Train LeNet-5 or a two-layer perceptron while its matrices are compressed."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasets import read_dataset
from training import train

from nncompress.chainer_support.compatibility import chainer
from nncompress.cli import errors

F, L = chainer.functions, chainer.links

DEFAULT_HPARAMS = (
    "name=mnist_compression,alpha_decrement_value=0.02,begin_compression_step=300,"
    "compression_frequency=8,compression_option=1,rank=400"
)


class LeNet5(chainer.Chain):
    """LeNet-5.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998.

    Args:
        size: Height and width of an image.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        # Images of 8 x 8 are too small for convolutions without padding.
        pad = 2 if size < 20 else 0
        after = ((size + 2 * pad - 4) // 2 + 2 * pad - 4) // 2
        self._pad = pad
        with self.init_scope():
            self.conv1 = L.Convolution2D(1, 6, 5, pad=pad)
            self.conv2 = L.Convolution2D(6, 16, 5, pad=pad)
            self.fc1 = L.Linear(16 * after * after, 120)
            self.fc2 = L.Linear(120, 84)
            self.fc3 = L.Linear(84, 10)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the logits of images ``(n, 1, size, size)``."""
        h = F.max_pooling_2d(F.relu(self.conv1(x)), 2)
        h = F.max_pooling_2d(F.relu(self.conv2(h)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(h)))))


class Perceptron(chainer.Chain):
    """Two hidden layers of 256 units.

    Args:
        size: Height and width of an image.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(size * size, 256)
            self.fc2 = L.Linear(256, 256)
            self.fc3 = L.Linear(256, 10)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the logits of images ``(n, 1, size, size)``."""
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(F.reshape(x, (len(x), -1)))))))


MODELS = {"lenet": LeNet5, "mlp": Perceptron}
MATCH = "fc[12]"


def main(argv: list[str] | None = None) -> float:
    """Runs the command and returns the accuracy on the test data."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python examples/mnist/mnist_compression.py --model mlp",
    )
    add = parser.add_argument
    add("--model", choices=list(MODELS), default="lenet", help="(default: lenet)")
    add("--compression_hparams", "--compression-hparams", default="",
        help=f"changes to the defaults, {DEFAULT_HPARAMS}")  # fmt: skip
    add("--max_steps", "--max-steps", type=int, default=1_000, help="(default: 1000)")
    add("--dataset", choices=("digits", "mnist"), default="digits", help="(default: digits)")
    add("--data_dir", "--data-dir", type=Path, default=Path("data"), help="(default: data)")
    add("--train_dir", "--train-dir", type=Path, default=Path("result/mnist_compression"))
    add("--batch_size", "--batch-size", type=int, default=64, help="(default: 64)")
    add("--seed", type=int, default=0, help="(default: 0)")
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU; -1, the default: the CPU")
    arguments = parser.parse_args(argv)
    datasets = read_dataset(arguments.dataset, arguments.data_dir)
    size = datasets[0][0][0].shape[1]
    accuracy, table = train(
        lambda: MODELS[arguments.model](size), datasets,
        f"{DEFAULT_HPARAMS},{arguments.compression_hparams}", MATCH,
        out=arguments.train_dir, max_steps=arguments.max_steps, batch_size=arguments.batch_size,
        gpu=arguments.gpu, seed=arguments.seed,
    )  # fmt: skip
    print(table or "Alpha is not 0 yet: the matrices are still there")
    print(f"Accuracy on the test images: {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    errors.run(main)
