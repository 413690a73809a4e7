"""The trainer of a run: a session with the extensions that fill the run directory."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nncompress.autoencoder.snapshot import save_model
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.runs.best_snapshots import BestSnapshots
from nncompress.runs.console import LossTable
from nncompress.runs.interruption import Interruption
from nncompress.runs.plot_report import ThrottledPlotReport
from nncompress.runs.run_log_report import RunLogReport
from nncompress.runs.snapshot_period import SnapshotPeriod
from nncompress.runs.trainer_snapshots import TrainerSnapshots
from nncompress.runs.unwritten import Unwritten
from nncompress.sources import EmbeddingMatrix
from nncompress.training.processes import Processes
from nncompress.training.session import TrainingSession, make_session
from nncompress.training.settings import TrainingSettings
from nncompress.training.triggers import (
    REPORT_INTERVAL,
    ReportTrigger,
    ThrottledTrigger,
    UpdateTrigger,
)

_SELDOM = 30.0  # seconds between plots
_PRINTED = (
    "epoch",
    "iteration",
    "main/loss",
    "validation/main/loss",
    "main/maxp",
    "validation/main/maxp",
)
_PRINTED_WITH_WEIGHTS = ("main/weighted_loss", "validation/main/weighted_loss")


def make_run_session(
    matrix: EmbeddingMatrix,
    settings: TrainingSettings,
    directory: Path,
    machine: Machine,
    weights: np.ndarray | None,
    optimizer: chainer.GradientMethod | None,
    extensions: Sequence[object],
    period: SnapshotPeriod,
    unwritten: Unwritten,
    processes: Processes,
) -> tuple[TrainingSession, Interruption]:
    """Builds a session whose trainer logs, plots and saves into a run directory.

    Args:
        matrix: The embedding matrix.
        settings: The run's settings.
        directory: The run directory.
        machine: The machine to train on.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        optimizer: A replacement for the optimizer named in the settings, or None.
        extensions: The user's own extensions.
        period: The time between two of the trainer's snapshots.
        unwritten: Collects the files that cannot be written.
        processes: The processes that train together; the first one writes and prints.

    Returns:
        The session, and the extension that ends it in good order when a signal arrives.
    """
    session = make_session(
        matrix, settings, machine, weights=weights, optimizer=optimizer, out=directory,
        processes=processes,
    )  # fmt: skip
    has_weights = weights is not None
    actions = (
        _fill_directory(session, settings, directory, has_weights, period, unwritten)
        if processes.is_first
        else ()
    )
    for extension in extensions:
        session.trainer.extend(extension)
    interruption = Interruption(*actions, processes=processes)
    session.trainer.extend(interruption, trigger=UpdateTrigger())
    return session, interruption


def _fill_directory(
    session: TrainingSession,
    settings: TrainingSettings,
    directory: Path,
    has_weights: bool,
    period: SnapshotPeriod,
    unwritten: Unwritten,
) -> Sequence[Callable[[chainer.training.Trainer], None]]:
    """Makes a trainer log, plot and save; returns the actions to take before an interruption."""
    trainer = session.trainer
    last = settings.iterations
    often = ReportTrigger(last, iterations=REPORT_INTERVAL)
    each_epoch = ReportTrigger(last, epochs=True)

    def save_best(path: Path) -> None:
        save_model(path, session.chain, session.best.parameters())

    trainer.extend(
        BestSnapshots(session.best, directory, save_best, unwritten),
        trigger=often,
    )
    for name, trigger in (("iteration", often), ("epoch", each_epoch)):
        log = RunLogReport(trigger, f"chainer_report_{name}.log", unwritten)
        trainer.extend(log, name=f"LogReport_{name}")
    plots = {quantity: _plot(quantity, last, often, unwritten) for quantity in ("loss", "maxp")}
    for quantity, plot in plots.items():
        trainer.extend(plot, name=f"PlotReport_{quantity}")
    printed = (*_PRINTED, *_PRINTED_WITH_WEIGHTS) if has_weights else _PRINTED
    trainer.extend(LossTable(printed, "LogReport_iteration", sys.stdout), trigger=often)
    snapshots = TrainerSnapshots(directory, unwritten)
    trainer.extend(
        snapshots,
        trigger=ThrottledTrigger(last, period.seconds)
        if period.iterations is None
        else ReportTrigger(last, iterations=period.iterations),
    )
    return snapshots, *(plot.draw for plot in plots.values())


def _plot(
    quantity: str, last: int, often: ReportTrigger, unwritten: Unwritten
) -> ThrottledPlotReport:
    """Makes the extension that plots a quantity in training and validation."""
    return ThrottledPlotReport(
        (f"main/{quantity}", f"validation/main/{quantity}"),
        trigger=often,
        draw_trigger=ThrottledTrigger(last, _SELDOM),
        filename=f"{quantity}.png",
        unwritten=unwritten,
    )
