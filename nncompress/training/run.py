"""A run of ``train_comp.py``: a run directory, and the trainer that fills it."""

import argparse
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nncompress.autoencoder.snapshot import save_model
from nncompress.chainer_compat import chainer
from nncompress.device import get_device, refuse_gpu_settings
from nncompress.errors import InputError
from nncompress.sources import EmbeddingMatrix
from nncompress.threads import resolve_threads
from nncompress.training.best_snapshots import BestSnapshots
from nncompress.training.data import TrainingData
from nncompress.training.log_report import AppendingLogReport
from nncompress.training.plot_report import ThrottledPlotReport
from nncompress.training.provenance import log_provenance
from nncompress.training.run_directory import (
    CONFIG_FILE,
    LOG_FILE,
    create_run_directory,
    log_to,
    read_config,
    write_config,
)
from nncompress.training.session import TrainingSession, make_session
from nncompress.training.settings import TrainingSettings, resolve_settings
from nncompress.training.triggers import REPORT_INTERVAL, ReportTrigger, ThrottledTrigger

if TYPE_CHECKING:  # it brings Numba, which training on a GPU does without
    from nncompress.training.sizing import Point

TRAINER_SNAPSHOT = "trainer_snapshot.npz"
_SELDOM = 30.0  # seconds between full snapshots, and between plots
_PRINTED = (
    "epoch",
    "iteration",
    "main/loss",
    "validation/main/loss",
    "main/maxp",
    "validation/main/maxp",
)
_PRINTED_WITH_WEIGHTS = ("main/weighted_loss", "validation/main/weighted_loss")
# What a run may be continued with another of.
_MAY_DIFFER = (
    *("resume", "epoch", "gpu", "threads", "full_precision", "matrix_dtype"),
    *("out", "dir_prefix"),
)
# What the configuration file calls some settings.
_CONFIG_NAMES = {"num_codebooks": "M", "num_codewords": "K", "full_precision": "fp32"}


@dataclass(frozen=True)
class TrainingRun:
    """A run directory and the session that trains into it.

    Attributes:
        directory: The run directory.
        config: What ``config.json`` holds.
        session: Chain and trainer.
    """

    directory: Path
    config: dict[str, object]
    session: TrainingSession

    def train(self, started: datetime) -> None:
        """Trains to the end, with everything logged.

        Args:
            started: When the command began.
        """
        with log_to(self.directory / LOG_FILE, started, "Training complete!!") as log:
            log_provenance(log)
            log(f"Hyperparameters: {self.config}")
            self.session.trainer.run()


def prepare_run(
    arguments: argparse.Namespace, default_matrix: Path, started: datetime
) -> TrainingRun:
    """Makes everything ready to train: a new run, or a run to be continued.

    Args:
        arguments: The command line of ``train_comp.py``; None marks what was not given.
        default_matrix: The matrix that is read if none is named.
        started: When the command began, for the name of a new run directory.

    Raises:
        InputError: An argument, the matrix or the run to continue cannot be used. Nothing has been
            written then.
    """
    if arguments.resume is not None:
        return _continued_run(arguments)
    threads = resolve_threads(arguments.threads)
    device = get_device(-1 if arguments.gpu is None else arguments.gpu)
    data = TrainingData(
        arguments.input_matrix or default_matrix,
        arguments.limit,
        arguments.objective or "distance",
        arguments.weights,
    )
    _refuse_gpu_settings(arguments, device)
    matrix, weights = data.open()
    given = {
        name: getattr(arguments, name)
        for name in (
            *("batchsize", "epoch", "learning_rate", "tau", "tau_start", "max_grad_norm"),
            *("recipe", "optimizer", "seed", "full_precision", "matrix_dtype"),
        )
        if getattr(arguments, name) is not None
    }
    resolve_settings(len(matrix), 32, 16, **given)  # choosing a size takes time: refuse before
    sizing = _sizing(arguments, matrix, threads)
    settings = resolve_settings(len(matrix), *sizing.size, **given)
    directory = create_run_directory(
        arguments.out or "result", arguments.dir_prefix or "model", settings, started
    )
    gpu = -1 if arguments.gpu is None else arguments.gpu
    config = _config(settings, data, matrix, gpu)
    if sizing.chosen is not None:
        config["rate_distortion"] = [asdict(point) for point in sizing.points]
        from nncompress.training.rate_distortion import plot_rate_distortion

        picture = directory / "plots" / "rate_distortion.png"
        plot_rate_distortion(picture, sizing.points, sizing.chosen)
    write_config(directory, config)
    try:
        session = _session(matrix, settings, directory, device, threads, weights)
    except BaseException:
        shutil.rmtree(directory)
        raise
    return TrainingRun(directory, config, session)


@dataclass(frozen=True)
class _Sizing:
    """M and K, and what they were chosen from if the command line left them open."""

    size: tuple[int, int]
    chosen: "Point | None" = None
    points: "Sequence[Point]" = ()


def _sizing(arguments: argparse.Namespace, matrix: EmbeddingMatrix, threads: int) -> _Sizing:
    size = arguments.num_codebooks, arguments.num_codewords
    targets = {
        name: value
        for name in ("bytes_per_row", "distance", "cosine")
        if (value := getattr(arguments, f"target_{name}")) is not None
    }
    if not targets:
        return _Sizing((32 if size[0] is None else size[0], 16 if size[1] is None else size[1]))
    if size != (None, None):
        raise InputError("a target chooses M and K; leave -M and -K out, or the target")
    from nncompress.training.sizing import HEADING, Target, choose_size

    target = Target(**targets)
    print(f"Choosing M and K for {target}\n{HEADING}")
    seed = arguments.seed or 0
    gpu = -1 if arguments.gpu is None else arguments.gpu
    chosen, points = choose_size(matrix, target, seed=seed, threads=threads, gpu=gpu)
    print(f"Chosen: M={chosen.num_codebooks}, K={chosen.num_codewords}")
    return _Sizing((chosen.num_codebooks, chosen.num_codewords), chosen, points)


def _continued_run(arguments: argparse.Namespace) -> TrainingRun:
    directory = arguments.resume if arguments.resume.is_dir() else arguments.resume.parent
    snapshot = directory / TRAINER_SNAPSHOT
    if not snapshot.is_file():
        raise InputError(
            f"{snapshot} does not exist; wanted a run directory of train_comp.py that has a "
            "trainer snapshot to continue from"
        )
    config = read_config(directory)
    settings, data = _settings_of(directory, config)
    _refuse_changes(arguments, config | data.config(), directory)
    threads = resolve_threads(arguments.threads)
    device = get_device(config["gpu"] if arguments.gpu is None else arguments.gpu)
    _refuse_gpu_settings(arguments, device)
    given = {
        name: getattr(arguments, name)
        for name in ("full_precision", "matrix_dtype")
        if getattr(arguments, name) is not None
    }
    settings = replace(settings, **given)
    matrix, weights = data.open()
    if list(matrix.shape) != config["matrix_shape"]:
        raise InputError(
            f"{data.matrix} has shape {matrix.shape} now; the run in {directory} was trained on "
            f"{tuple(config['matrix_shape'])}"
        )
    if arguments.epoch is not None:
        if arguments.epoch < 1:
            raise InputError(f"the number of epochs is {arguments.epoch}; wanted at least 1")
        iterations = math.ceil(arguments.epoch * len(matrix) / settings.batchsize)
        settings = replace(settings, iterations=iterations)
    session = _session(matrix, settings, directory, device, threads, weights)
    try:
        with np.load(snapshot, allow_pickle=False) as archive:
            done = int(archive["updater/iteration"])
            if done > settings.iterations:
                raise InputError(
                    f"the run in {directory} has made {done} steps already; "
                    f"wanted more than that and not {settings.iterations}"
                )
            chainer.serializers.NpzDeserializer(archive).load(session.trainer)
    except InputError:
        raise
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{snapshot} is not a trainer snapshot of this run: {error}") from None
    gpu = config["gpu"] if arguments.gpu is None else arguments.gpu
    config |= _config(settings, data, matrix, gpu)
    write_config(directory, config)
    return TrainingRun(directory, config, session)


def _session(
    matrix: EmbeddingMatrix,
    settings: TrainingSettings,
    directory: Path,
    device: chainer.backend.Device,
    threads: int,
    weights: np.ndarray | None,
) -> TrainingSession:
    """Adds to a session what fills a run directory."""
    session = make_session(matrix, settings, directory, device, threads=threads, weights=weights)
    trainer = session.trainer
    extensions = chainer.training.extensions
    last = settings.iterations
    often = ReportTrigger(last, iterations=REPORT_INTERVAL)
    each_epoch = ReportTrigger(last, epochs=True)

    trainer.extend(
        BestSnapshots(lambda path: save_model(path, session.chain)),
        trigger=ReportTrigger(last, iterations=REPORT_INTERVAL, epochs=True),
    )
    for name, trigger in (("iteration", often), ("epoch", each_epoch)):
        log = AppendingLogReport(trigger, f"chainer_report_{name}.log")
        trainer.extend(log, name=f"LogReport_{name}")
    for quantity in ("loss", "maxp"):
        trainer.extend(
            ThrottledPlotReport(
                (f"main/{quantity}", f"validation/main/{quantity}"),
                trigger=often,
                draw_trigger=ThrottledTrigger(last, _SELDOM),
                filename=f"{quantity}.png",
            ),
            name=f"PlotReport_{quantity}",
        )
    printed = _PRINTED if weights is None else (*_PRINTED, *_PRINTED_WITH_WEIGHTS)
    table = extensions.PrintReport(printed, "LogReport_iteration", out=sys.stdout)
    trainer.extend(table, trigger=often)
    # A terminal redraws the bar in place; a log file gets ten of them.
    bars = 400 if sys.stdout.isatty() else 10
    stride = trainer.updater.stride
    interval = stride * max(1, last // (bars * stride))
    trainer.extend(extensions.ProgressBar(update_interval=interval, out=sys.stdout))
    trainer.extend(
        extensions.snapshot(
            filename=TRAINER_SNAPSHOT,
            writer=extensions.snapshot_writers.SimpleWriter(
                savefun=lambda path, arrays: np.savez(path, **arrays)
            ),
        ),
        trigger=ThrottledTrigger(last, _SELDOM),
    )
    return session


def _config(
    settings: TrainingSettings, data: TrainingData, matrix: EmbeddingMatrix, gpu: int
) -> dict[str, object]:
    config = {_CONFIG_NAMES.get(name, name): value for name, value in asdict(settings).items()}
    return (
        config
        | data.config()
        | {
            "matrix_shape": list(matrix.shape),
            "epoch": round(settings.iterations * settings.batchsize / len(matrix), 3),
            "gpu": gpu,
        }
    )


def _settings_of(
    directory: Path, config: dict[str, object]
) -> tuple[TrainingSettings, TrainingData]:
    try:
        settings = TrainingSettings(
            **{
                field.name: config[name]
                for field in fields(TrainingSettings)
                # Runs from before a setting was there have its default.
                if (name := _CONFIG_NAMES.get(field.name, field.name)) in config
                or field.default is MISSING
            }
        )
        for name in ("input_matrix", "matrix_shape", "limit", "gpu"):
            config[name]
    except KeyError as error:
        raise InputError(
            f"{directory}/config.json lacks {error}; it cannot be continued"
        ) from None
    return settings, TrainingData.of_config(config, directory / CONFIG_FILE)


def _refuse_gpu_settings(arguments: argparse.Namespace, device: chainer.backend.Device) -> None:
    refuse_gpu_settings(
        device, bool(arguments.full_precision), arguments.matrix_dtype or "float32"
    )


def _refuse_changes(
    arguments: argparse.Namespace, config: dict[str, object], directory: Path
) -> None:
    """Refuses flags that would make the rest of a run differ from its beginning."""
    for name, value in vars(arguments).items():
        known = config.get(_CONFIG_NAMES.get(name, name))
        if name in _MAY_DIFFER or value is None:
            continue
        if name.startswith("target_"):
            raise InputError("a target chooses M and K of a new run; leave it out to continue one")
        if name in ("input_matrix", "weights"):
            value = os.fspath(value.resolve())
        if value != known:
            raise InputError(
                f"{_CONFIG_NAMES.get(name, name)} is {value}, and the run in {directory} has "
                f"{known}; leave it out to continue that run, or start a new one"
            )
