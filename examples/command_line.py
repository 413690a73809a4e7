"""Flags shared by the examples, spelt as in TensorFlow's tutorials or with dashes."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from datasets import TITLES
from running import DEFAULT_PERIOD

from nncompress.errors import InputError
from nncompress.matrix import CompressionHParams, CompressionOp
from nncompress.runs.snapshot_period import SnapshotPeriod

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def add_flag(parser: argparse.ArgumentParser, name: str, **options: object) -> None:
    """Adds ``--a_flag``, which can also be written ``--a-flag``."""
    spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
    parser.add_argument(*spellings, **options)


def add_directory(parser: argparse.ArgumentParser, name: str, use: str, default: str) -> None:
    """Adds a flag that names a directory."""
    add_flag(parser, name, type=_directory, default=Path(default),
             help=f"directory {use} (default: {default})")  # fmt: skip


def add_boolean(parser: argparse.ArgumentParser, name: str, default: bool, help: str) -> None:
    """Adds a flag with an optional value, or with ``no`` before its name, as in TensorFlow."""
    add_flag(parser, name, type=_truth, nargs="?", const=True, default=default, metavar="BOOLEAN",
             help=f"{help} (default: {default})")  # fmt: skip
    parser.add_argument(f"--no{name}", dest=name, action="store_false", help=argparse.SUPPRESS)


def add_data(parser: argparse.ArgumentParser, real: str, default: str | None) -> None:
    """Adds the flags for the data.

    Args:
        parser: The parser to extend.
        real: The data set that the example is about; digits are the other choice.
        default: The default; None for the data set of the run.
    """
    add_flag(parser, "data", choices=(real, "digits"), default=default,
             help=f"{TITLES[real]}, or {TITLES['digits']} "
             f"(default: {default or 'that of the run'})")  # fmt: skip
    add_directory(parser, "data_dir", f"with {TITLES[real]}", "data")


def add_compression(parser: argparse.ArgumentParser, defaults: Mapping[str, str]) -> None:
    """Adds the flag for hyperparameters; ``defaults`` has the defaults for each data set."""
    shown = "; ".join(f"for {name} {hparams}" for name, hparams in defaults.items())
    add_flag(parser, "compression_hparams", default="",
             help=f"changes to the defaults, which are {shown}")  # fmt: skip


def hparams_of(defaults: str, changes: str) -> CompressionHParams:
    """Returns hyperparameters with changes, such as ``"compression_option=4,rank=128"``.

    Raises:
        InputError: A hyperparameter is unknown or invalid.
    """
    return CompressionOp.get_default_hparams().parse(defaults).parse(changes)


def add_training(
    parser: argparse.ArgumentParser,
    train_dir: str,
    max_steps: Mapping[str, int],
    batch_size: int,
    frequency: int,
) -> None:
    """Adds the flags that ``training_options`` reads.

    Args:
        parser: The parser to extend.
        train_dir: Default directory to train in.
        max_steps: Default number of steps for each data set.
        batch_size: Default number of images per step.
        frequency: Default number of steps between two lines.
    """
    steps = ", ".join(f"{number:,} for {name}" for name, number in max_steps.items())
    add_flag(parser, "max_steps", type=int, help=f"steps to train for (default: {steps})")
    add_flag(parser, "batch_size", type=int, default=batch_size,
             help=f"images per step (default: {batch_size})")  # fmt: skip
    add_directory(parser, "train_dir", "for snapshots, log and plots", train_dir)
    add_flag(parser, "log_frequency", type=int, default=frequency,
             help=f"steps between printed lines (default: {frequency})")  # fmt: skip
    add_continuation(parser)
    add_flag(parser, "seed", type=int, default=0,
             help="seed of weights, order and distortions (default: 0)")  # fmt: skip
    add_gpu(parser)


def add_continuation(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for snapshots and for resuming from them."""
    add_flag(parser, "save_every", type=_period, default=DEFAULT_PERIOD, metavar="PERIOD",
             help="time between snapshots, such as 30s, 5m or 1h, or steps, such as 2000 "
             f"(default: {DEFAULT_PERIOD.text})")  # fmt: skip
    add_flag(parser, "resume", action="store_true",
             help="continue the run in train_dir from its newest snapshot")  # fmt: skip


def add_gpu(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that names a GPU."""
    parser.add_argument("-g", "--gpu", type=int, default=-1,
                        help="number of the GPU; -1 for the CPU (default: -1)")  # fmt: skip


def training_options(arguments: argparse.Namespace, max_steps: int) -> dict[str, object]:
    """Returns the arguments of ``training.train`` that come from flags.

    Args:
        arguments: The flags added by ``add_training``.
        max_steps: The default number of steps.
    """
    return {
        "out": arguments.train_dir,
        "max_steps": max_steps if arguments.max_steps is None else arguments.max_steps,
        "batch_size": arguments.batch_size,
        "log_frequency": arguments.log_frequency,
        "period": arguments.save_every,
        "resume": arguments.resume,
        "seed": arguments.seed,
        "gpu": arguments.gpu,
    }


def _directory(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it is empty; wanted a directory, or . for this one")
    return Path(text)


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise argparse.ArgumentTypeError(f"it is {text!r}; wanted True or False")
    return _TRUTH[text.lower()]


def _period(text: str) -> SnapshotPeriod:
    try:
        return SnapshotPeriod.of(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
