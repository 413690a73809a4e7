#!/usr/bin/env python
"""Train the CIFAR-10 network while its large matrices are compressed."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

from cifar10 import cifar10_compression as network
from cifar10.cifar10_input import evaluation_data, training_data
from command_line import (
    add_boolean,
    add_compression,
    add_data,
    add_training,
    hparams_of,
    training_options,
)
from datasets import TITLES
from training import train

from nncompress.cli import errors
from nncompress.errors import InputError

# As many as in the original, and enough for the digits.
MAX_STEPS = {"cifar10": 1_000_000, "digits": 1_000}


def main(argv: list[str] | None = None) -> float:
    """Runs the command and returns the accuracy on the test data."""
    arguments = _parser().parse_args(argv)
    if arguments.use_fp16:
        raise InputError(
            "--use_fp16 is not supported: the network is trained, and matrices are compressed, in "
            "float32; leave it out"
        )
    data = arguments.data
    dataset, distort = training_data(data, arguments.data_dir)
    test = evaluation_data(data, arguments.data_dir, "test")
    image = test[0][0]
    print(
        f"Training on {TITLES[data]}: {len(dataset):,} images, "
        f"{' x '.join(map(str, image.shape[1:]))}" + (" cropped at random" if distort else ""),
        flush=True,
    )
    hparams = hparams_of(network.DEFAULT_HPARAMS[data], arguments.compression_hparams)
    accuracy, outcome = train(
        lambda: network.network_for(image), (dataset, test), hparams, network.MATCH,
        optimization=network.OPTIMIZATION, distort=distort, validate=False,
        settings={"data": data}, log_device_placement=arguments.log_device_placement,
        **training_options(arguments, MAX_STEPS[data]),
    )  # fmt: skip
    print(outcome)
    print(f"Accuracy on the {len(test):,} test images: {accuracy:.4f}")
    return accuracy


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python examples/cifar10/cifar10_train.py --data digits "
        '--compression_hparams="compression_option=4,rank=16"',
    )
    add_compression(parser, network.DEFAULT_HPARAMS)
    add_data(parser, "cifar10", "cifar10")
    add_training(parser, "result/cifar10_train", MAX_STEPS, network.BATCH_SIZE, frequency=10)
    add_boolean(parser, "log_device_placement", False, "print the device of each parameter")
    add_boolean(parser, "use_fp16", False, "not supported: training is in float32")
    return parser


if __name__ == "__main__":
    errors.run(main)
