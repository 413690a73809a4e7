#!/usr/bin/env python
"""Evaluate what cifar10_train.py wrote: the finalized model, or the one still in training."""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cifar10 import cifar10_compression as network
from datasets import DATASETS, read_dataset
from training import FINAL, MODEL, accuracy

from nncompress.chainer_support.compatibility import chainer
from nncompress.cli import errors
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.matrix import compress_chain, load_finalized


def main(argv: list[str] | None = None) -> float:
    """Runs the command and returns the last accuracy."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python examples/cifar10/cifar10_eval.py --run_once",
    )
    add = parser.add_argument
    add("--compression_hparams", "--compression-hparams", default="", help="those of training")
    add("--checkpoint_dir", "--checkpoint-dir", type=Path, default=Path("result/cifar10_train"))
    add("--dataset", choices=DATASETS, default="digits", help="(default: digits)")
    add("--data_dir", "--data-dir", type=Path, default=Path("data"), help="(default: data)")
    add("--run_once", "--run-once", action="store_true", help="evaluate once and end")
    add("--eval_interval_secs", "--eval-interval-secs", type=float, default=300.0)
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU; -1, the default: the CPU")
    arguments = parser.parse_args(argv)
    _, test = read_dataset(arguments.dataset, arguments.data_dir)
    machine = Machine(arguments.gpu)
    machine.use()
    device = machine.device
    while True:
        model = network.network_for(test)
        hparams = f"{network.DEFAULT_HPARAMS},{arguments.compression_hparams}"
        compress_chain(model, hparams, network.MATCH)
        load(arguments.checkpoint_dir, model)
        model.to_device(device)
        share = accuracy(model, test, device)
        print(f"Accuracy on the test images: {share:.4f}", flush=True)
        if arguments.run_once:
            return share
        time.sleep(arguments.eval_interval_secs)


def load(directory: Path, model: chainer.Chain) -> None:
    """Reads the finalized model if there is one, and the other one otherwise."""
    try:
        if (directory / FINAL).is_file():
            load_finalized(directory / FINAL, model)
        elif (directory / MODEL).is_file():
            chainer.serializers.load_npz(str(directory / MODEL), model)
        else:
            raise InputError(
                f"{directory} has neither {FINAL} nor {MODEL}; train with cifar10_train.py first"
            )
    except (KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"the model in {directory} does not fit: {error}; give the --compression_hparams and "
            "the --dataset that it was trained with"
        ) from None


if __name__ == "__main__":
    errors.run(main)
