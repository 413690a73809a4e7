#!/usr/bin/env python
"""Train the CIFAR-10 network while its large matrices are compressed."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cifar10 import cifar10_compression as network
from datasets import DATASETS, read_dataset
from training import train

from nncompress.cli import errors


def main(argv: list[str] | None = None) -> float:
    """Runs the command and returns the accuracy on the test data."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python examples/cifar10/cifar10_train.py --max_steps 1000 "
        '--compression_hparams="compression_option=4,rank=16,begin_compression_step=300"',
    )
    add = parser.add_argument
    add("--compression_hparams", "--compression-hparams", default="",
        help=f"changes to the defaults, {network.DEFAULT_HPARAMS}")  # fmt: skip
    add("--max_steps", "--max-steps", type=int, default=1_000, help="(default: 1000)")
    add("--dataset", choices=DATASETS, default="digits", help="(default: digits, no download)")
    add("--data_dir", "--data-dir", type=Path, default=Path("data"), help="(default: data)")
    add("--train_dir", "--train-dir", type=Path, default=Path("result/cifar10_train"))
    add("--batch_size", "--batch-size", type=int, default=64, help="(default: 64)")
    add("--seed", type=int, default=0, help="(default: 0)")
    add("--resume", action="store_true", help="go on from the snapshot in the train_dir")
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU; -1, the default: the CPU")
    arguments = parser.parse_args(argv)
    datasets = read_dataset(arguments.dataset, arguments.data_dir)
    accuracy, table = train(
        lambda: network.network_for(datasets[0]), datasets,
        f"{network.DEFAULT_HPARAMS},{arguments.compression_hparams}", network.MATCH,
        out=arguments.train_dir, max_steps=arguments.max_steps, batch_size=arguments.batch_size,
        gpu=arguments.gpu, seed=arguments.seed, resume=arguments.resume,
    )  # fmt: skip
    print(table or "Alpha is not 0 yet: the matrices are still there")
    print(f"Accuracy on the test images: {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    errors.run(main)
