#!/usr/bin/env python
"""Evaluate the models that cifar10_train.py writes: each new one, or just the newest, once."""

import argparse
import sys
import time
import warnings
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

from cifar10 import cifar10_compression as network
from cifar10.cifar10_input import evaluation_data
from cifar10.evaluation_log import EvaluationLog
from command_line import add_boolean, add_data, add_directory, add_flag, add_gpu, hparams_of
from running import read_settings
from training import FINAL, accuracy, load_snapshot

from nncompress.chainer_support.compatibility import chainer
from nncompress.cli import errors
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.matrix import CompressionOp, compress_chain, load_finalized
from nncompress.runs.trainer_snapshots import read_trainer_snapshot, trainer_snapshots

# The original's names of the parts of the data.
_PARTS = {"test": "test", "train_eval": "train"}
_LONGEST_INTERVAL = 365 * 86_400


def main(argv: list[str] | None = None) -> float | None:
    """Runs the command and returns the last accuracy."""
    arguments = _parser().parse_args(argv)
    if not 0 <= arguments.eval_interval_secs <= _LONGEST_INTERVAL:
        raise InputError(
            f"--eval_interval_secs is {arguments.eval_interval_secs:g}; wanted 0 to "
            f"{_LONGEST_INTERVAL:,}"
        )
    if arguments.global_step is not None and arguments.global_step < 0:
        raise InputError(f"--global_step is {arguments.global_step}; wanted 0 or more")
    evaluation = Evaluation(arguments)
    if arguments.run_once:
        return evaluation.newest()
    print(f"Waiting for models in {arguments.checkpoint_dir}; press Ctrl-C to stop", flush=True)
    while True:
        evaluation.all_new()
        time.sleep(arguments.eval_interval_secs)


class Evaluation:
    """Evaluates the models in one directory.

    Args:
        arguments: The command's arguments.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._directory = arguments.checkpoint_dir
        self._machine = Machine(arguments.gpu)
        self._machine.use()
        self._log = EvaluationLog(arguments.eval_dir)
        self._hparams = CompressionOp.get_default_hparams()
        self._dataset: chainer.dataset.DatasetMixin | None = None
        self._seen: set[tuple[Path, int]] = set()

    def newest(self) -> float:
        """Evaluates the newest model.

        Raises:
            InputError: There is no model.
        """
        models = self._models()
        if not models:
            raise InputError(
                f"{self._directory} has no snapshot; train with cifar10_train.py first"
            )
        return self._evaluate(models[-1])

    def all_new(self) -> None:
        """Evaluates the models that have not been evaluated yet, oldest first.

        Damaged ones are skipped with a warning.
        """
        for path in self._models():
            self._open()
            try:
                version = path, path.stat().st_mtime_ns
                if version not in self._seen:
                    self._evaluate(path)
                    self._seen.add(version)
            except FileNotFoundError:
                if path.exists():
                    raise
                # Training keeps only the newest ones.
            except InputError as error:
                if path.exists():
                    self._seen.add(version)
                    warnings.warn(f"{error}; it is skipped", stacklevel=2)

    def _models(self) -> list[Path]:
        """Returns the snapshots and the finalized model, oldest first."""
        if not self._directory.is_dir():
            return []
        models = trainer_snapshots(self._directory)[::-1]
        final = self._directory / FINAL
        if final.is_file():
            made = final.stat().st_mtime_ns
            models.insert(sum(path.stat().st_mtime_ns <= made for path in models), final)
        return models

    def _evaluate(self, path: Path) -> float:
        self._open()
        model = network.network_for(self._dataset[0][0])
        compress_chain(model, self._hparams, network.MATCH)
        if path.name == FINAL:
            load_finalized(path, model)
            models = self._models()
            before = [each.stem for each in models[: models.index(path)]]
            step = int(before[-1].rpartition("_")[2]) if before else 0
        else:
            step = load_snapshot(read_trainer_snapshot(path), path, model)
        model.to_device(self._machine.device)
        share = accuracy(model, self._dataset, self._machine.device)
        step = self._arguments.global_step or step
        part, number = self._arguments.eval_data, len(self._dataset)
        now = datetime.now()
        print(
            f"{now:%Y-%m-%d %H:%M:%S}: {path.name}, step {step}: accuracy on {number:,} images "
            f"({part}): {share:.4f}",
            flush=True,
        )
        self._log.add(
            {"step": step, "accuracy": share, "eval_data": part, "num_examples": number,
             "file": str(path), "time": f"{now:%Y-%m-%dT%H:%M:%S}"}
        )  # fmt: skip
        return share

    def _open(self) -> None:
        """Reads the run's settings and data as soon as there is a run."""
        if self._dataset is not None:
            return
        arguments, settings = self._arguments, read_settings(self._directory)
        if (
            settings is None
            or settings.get("data") not in network.DEFAULT_HPARAMS
            or not isinstance(settings.get("compression_hparams"), dict)
        ):
            raise InputError(
                f"{self._directory} has no run's settings; wanted a directory in which "
                "cifar10_train.py has trained"
            )
        data = settings["data"]
        hparams = CompressionOp.get_default_hparams().update(settings["compression_hparams"])
        if arguments.data not in (None, data):
            raise InputError(
                f"--data is {arguments.data}, but the run in {self._directory} trains on {data}; "
                "wanted the same, or leave it out"
            )
        given = arguments.compression_hparams
        if given is not None:
            for name, value in hparams_of(network.DEFAULT_HPARAMS[data], given).values().items():
                if value != hparams.get(name):
                    raise InputError(
                        f"{name} is {value!r} in --compression_hparams, but "
                        f"{hparams.get(name)!r} in the run in {self._directory}; wanted the "
                        "same, or leave them out"
                    )
        dataset = evaluation_data(data, arguments.data_dir, _PARTS[arguments.eval_data])
        number = len(dataset) if arguments.num_examples is None else arguments.num_examples
        if not 1 <= number <= len(dataset):
            raise InputError(f"--num_examples is {number}; wanted 1 to {len(dataset):,}")
        self._hparams = hparams
        self._dataset = chainer.datasets.SubDataset(dataset, 0, number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python examples/cifar10/cifar10_eval.py --run_once",
    )
    add_directory(parser, "checkpoint_dir", "of the training run", "result/cifar10_train")
    add_directory(
        parser, "eval_dir", "for the log of evaluations and its picture", "result/cifar10_eval"
    )
    add_flag(parser, "compression_hparams",
             help="hyperparameters that the run must have (default: any)")  # fmt: skip
    add_data(parser, "cifar10", None)
    add_flag(parser, "eval_data", choices=tuple(_PARTS), default="test",
             help="the test images or the training images (default: test)")  # fmt: skip
    add_flag(parser, "num_examples", type=int,
             help="number of images to evaluate on, the first ones (default: all)")  # fmt: skip
    add_flag(parser, "global_step", type=int,
             help="step to write in the log (default: the snapshot's)")  # fmt: skip
    add_boolean(parser, "run_once", False, "evaluate the newest model and exit")
    add_flag(parser, "eval_interval_secs", type=float, default=300.0,
             help="seconds between checks of the directory (default: 300)")  # fmt: skip
    add_gpu(parser)
    return parser


if __name__ == "__main__":
    errors.run(main)
