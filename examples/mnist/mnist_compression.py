#!/usr/bin/env python
"""Train LeNet-5 or a two-layer perceptron while its matrices are compressed."""

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

from command_line import (
    add_boolean,
    add_compression,
    add_data,
    add_training,
    hparams_of,
    training_options,
)
from datasets import TITLES, read_dataset
from training import train

from nncompress.chainer_support.compatibility import chainer
from nncompress.cli import errors

F, L = chainer.functions, chainer.links

# The ramp lies within the steps of training, which are ten epochs of MNIST.
DEFAULT_HPARAMS = {
    "mnist": "name=mnist_compression,alpha_decrement_value=0.02,begin_compression_step=3000,"
    "compression_frequency=80,compression_option=1,rank=400",
    "digits": "name=mnist_compression,alpha_decrement_value=0.02,begin_compression_step=300,"
    "compression_frequency=8,compression_option=1,rank=400",
}
MAX_STEPS = {"mnist": 9_375, "digits": 1_000}
BATCH_SIZE = 64


class LeNet5(chainer.Chain):
    """LeNet-5, with padding and rectifiers, as in the original.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998.

    Args:
        size: Height and width of an image.
    """

    match: ClassVar = "[cd]*"  # compresses everything except the logits

    def __init__(self, size: int) -> None:
        super().__init__()
        after = -(-size // 4)
        with self.init_scope():
            self.conv1 = L.Convolution2D(1, 6, 5, pad=2)
            self.conv2 = L.Convolution2D(6, 16, 5, pad=2)
            self.conv3 = L.Convolution2D(16, 120, 5, pad=2)
            self.dense1 = L.Linear(120 * after * after, 84)
            self.logits = L.Linear(84, 10)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the logits of images ``(n, 1, size, size)``."""
        h = F.max_pooling_2d(F.relu(self.conv1(x)), 2)
        h = F.max_pooling_2d(F.relu(self.conv2(h)), 2)
        h = F.relu(self.conv3(h))
        return self.logits(F.relu(self.dense1(h)))


class Perceptron(chainer.Chain):
    """Layers with rectifiers between them: ``layer_1``, ``layer_2`` and so on.

    Args:
        size: Height and width of an image.
        hidden: Units of the hidden layers; the original has one layer of 64.
    """

    match: ClassVar = "layer_*"

    def __init__(self, size: int, hidden: Sequence[int] = (64,)) -> None:
        super().__init__()
        units = (size * size, *hidden, 10)
        with self.init_scope():
            for number, (before, after) in enumerate(pairwise(units), 1):
                setattr(self, f"layer_{number}", L.Linear(before, after))
        self._depth = len(units) - 1

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the logits of images ``(n, 1, size, size)``."""
        h = self.layer_1(x)
        for number in range(2, self._depth + 1):
            h = self[f"layer_{number}"](F.relu(h))
        return h


def main(argv: list[str] | None = None) -> float:
    """Runs the command and returns the accuracy on the test data."""
    arguments = _parser().parse_args(argv)
    data = arguments.data
    datasets = read_dataset(data, arguments.data_dir)
    size = datasets[0][0][0].shape[1]
    network = LeNet5 if arguments.use_lennet else Perceptron
    print(f"Training on {TITLES[data]}: {len(datasets[0]):,} images, {size} x {size}", flush=True)
    hparams = hparams_of(DEFAULT_HPARAMS[data], arguments.compression_hparams)
    accuracy, outcome = train(
        lambda: network(size), datasets, hparams, network.match,
        settings={"data": data, "use_lennet": arguments.use_lennet},
        **training_options(arguments, MAX_STEPS[data]),
    )  # fmt: skip
    print(outcome)
    print(f"Accuracy on the {len(datasets[1]):,} test images: {accuracy:.4f}")
    return accuracy


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python examples/mnist/mnist_compression.py --data digits --nouse_lennet",
    )
    add_boolean(parser, "use_lennet", True, "train LeNet-5 instead of the perceptron")
    add_compression(parser, DEFAULT_HPARAMS)
    add_data(parser, "mnist", "mnist")
    add_training(parser, "result/mnist_compression", MAX_STEPS, BATCH_SIZE, frequency=100)
    return parser


if __name__ == "__main__":
    errors.run(main)
