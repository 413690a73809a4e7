"""Running a trainer in a directory: printing, logging, saving, and resuming after a kill.

The directory has ``settings.json``, ``log``, pictures, and snapshots of the trainer. Each file
appears whole or not at all.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import Diverged, InputError, TrainingInterrupted
from nncompress.formats.files import atomic_path, clear_up
from nncompress.formats.strict_json import strict_json
from nncompress.runs.directory import alone_in
from nncompress.runs.interruption import Interruption
from nncompress.runs.plot_report import ThrottledPlotReport
from nncompress.runs.run_log_report import RunLogReport
from nncompress.runs.snapshot_period import SnapshotPeriod
from nncompress.runs.trainer_snapshots import (
    TrainerSnapshots,
    newest_trainer_snapshot,
    remove_later,
)
from nncompress.runs.unwritten import Unwritten
from nncompress.training.triggers import ReportTrigger, ThrottledTrigger, UpdateTrigger

SETTINGS, LOG = "settings.json", "log"
DEFAULT_PERIOD = SnapshotPeriod.of("10m")  # between snapshots, as in TensorFlow's sessions
_KEPT_SNAPSHOTS = 5  # as many as TensorFlow's savers keep
_MOST_ENTRIES = 1_000  # in the log, which is part of each snapshot
_MOST_SETTINGS_BYTES = 1 << 20
_SELDOM = 30.0  # seconds between two drawings of a plot


@dataclass(frozen=True)
class Reports:
    """The observations of a trainer that a run reports.

    Attributes:
        printed: Names of observations, with their titles in printed lines.
        plots: Names of observations by the picture file that shows them.
        log_frequency: Steps between printed lines.
        batch_size: Examples per step, for printing examples per second.
    """

    printed: Mapping[str, str]
    plots: Mapping[str, Sequence[str]]
    log_frequency: int
    batch_size: int


def run(
    trainer: chainer.training.Trainer,
    max_steps: int,
    settings: Mapping[str, object],
    reports: Reports,
    period: SnapshotPeriod = DEFAULT_PERIOD,
    resume: bool = False,
) -> None:
    """Trains in the trainer's directory, from the beginning or from the newest snapshot there.

    Args:
        trainer: A trainer that ends after ``max_steps``, complete with everything that training
            needs. Its random numbers must depend only on the step, so that a resumed run gives
            the same result.
        max_steps: The last step of training.
        settings: The settings that the result depends on besides the number of steps, as JSON
            values; saved in the directory, and checked when a run is resumed.
        reports: The observations to print, log and plot.
        period: The time or the number of steps between snapshots.
        resume: True to continue the run in the directory.

    Raises:
        InputError: The directory has a run but ``resume`` is False, or has none but it is True, or
            has a run with other settings, or is in use.
        TrainingInterrupted: A signal was received. A snapshot has been written.
        Diverged: The loss is no longer finite.
        OutputError: A file could not be written.
    """
    out = Path(trainer.out)
    unwritten = Unwritten()
    snapshots = TrainerSnapshots(out, unwritten, _KEPT_SNAPSHOTS)
    interruption = Interruption(snapshots)
    with _directory(out):
        _begin_or_go_on(trainer, max_steps, settings, resume)
        trainer.extend(_end_divergence, trigger=UpdateTrigger())
        trainer.extend(_print_report(reports, max_steps))
        _log_and_plot(trainer, max_steps, reports, unwritten)
        trigger = (
            ThrottledTrigger(max_steps, period.seconds)
            if period.iterations is None
            else ReportTrigger(max_steps, iterations=period.iterations)
        )
        trainer.extend(snapshots, trigger=trigger)
        trainer.extend(interruption, trigger=UpdateTrigger())
        try:
            with interruption.listen():
                trainer.run(show_loop_exception_msg=False)  # the caller prints it
        except TrainingInterrupted as error:
            raise TrainingInterrupted(error.signal, f"{error}; use --resume to continue") from None
        unwritten.check("training is complete", "make room, and continue with --resume")


def read_settings(directory: Path) -> dict[str, object] | None:
    """Returns the settings of the run in a directory; None if there is none.

    Raises:
        InputError: The settings are damaged.
    """
    path = directory / SETTINGS
    try:
        if path.stat().st_size > _MOST_SETTINGS_BYTES:
            raise ValueError("it is too long")
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("it has no names")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} does not contain a run's settings ({error}); train again in another directory"
        ) from None
    return settings


def restore(loadable: object, arrays: Mapping[str, object], source: Path) -> None:
    """Restores a trainer, or another object with a ``serialize`` method, from a snapshot.

    Raises:
        InputError: The snapshot is of something else.
    """
    try:
        chainer.serializers.NpzDeserializer(arrays).load(loadable)
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        raise InputError(f"{source} is not a snapshot of this run: {error}") from None


@contextmanager
def _directory(out: Path) -> Iterator[None]:
    """Creates a directory, and keeps others from training in it while the block runs."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out} is not a directory; wanted one to train in") from None
    with alone_in(out):
        clear_up(out)
        yield


def _begin_or_go_on(
    trainer: chainer.training.Trainer,
    max_steps: int,
    settings: Mapping[str, object],
    resume: bool,
) -> None:
    out = Path(trainer.out)
    noted, found = read_settings(out), newest_trainer_snapshot(out)
    if not resume:
        if found is not None:
            steps = int(found[1]["updater/iteration"])
            raise InputError(
                f"{out} already has a run of {steps:,} steps; continue it (--resume), choose "
                "another directory, or remove this one"
            )
        with atomic_path(out / SETTINGS) as temporary:
            temporary.write_text(strict_json(dict(settings), indent=4) + "\n", encoding="utf-8")
        return
    if noted is None:
        raise InputError(f"{out} has no run to continue; leave out --resume to start one")
    for name, value in json.loads(strict_json(dict(settings))).items():
        if noted.get(name) != value:
            raise InputError(
                f"{name} is {value!r}, but the run in {out} was started with "
                f"{noted.get(name)!r}; use that, or start another run elsewhere"
            )
    if found is None:
        return  # it was killed before its first snapshot
    path, arrays = found
    steps = int(arrays["updater/iteration"])
    if steps > max_steps:
        raise InputError(
            f"the run in {out} has already made {steps:,} steps; wanted at least as many, not "
            f"{max_steps:,}"
        )
    restore(trainer, arrays, path)
    remove_later(out, steps)  # these are damaged, and would keep new ones from being written
    print(f"Continuing from step {steps:,}", flush=True)


def _log_and_plot(
    trainer: chainer.training.Trainer, max_steps: int, reports: Reports, unwritten: Unwritten
) -> None:
    every = max(reports.log_frequency, -(-max_steps // _MOST_ENTRIES))
    trigger = ReportTrigger(max_steps, iterations=every)
    trainer.extend(RunLogReport(trigger, LOG, unwritten))
    for file, names in reports.plots.items():
        draw = ThrottledTrigger(max_steps, _SELDOM)
        plot = ThrottledPlotReport(tuple(names), trigger, draw, file, unwritten)
        trainer.extend(plot, name=file, trigger=UpdateTrigger())


@chainer.training.make_extension(priority=chainer.training.PRIORITY_WRITER + 1)
def _end_divergence(trainer: chainer.training.Trainer) -> None:
    """Ends training before a nonfinite loss gets into averages and snapshots."""
    loss = _number(trainer.observation["main/loss"])
    if not math.isfinite(loss):
        raise Diverged(
            f"training has diverged: the loss is {loss} at step {trainer.updater.iteration:,}",
            "compress more gently, with a smaller alpha_decrement_value or a rank that keeps more",
        )


def _print_report(reports: Reports, max_steps: int) -> object:
    """Returns an extension that prints lines with the latest observations."""
    is_due = ReportTrigger(max_steps, iterations=reports.log_frequency)
    newest: dict[str, float] = {}
    last = {"step": 0, "time": 0.0}

    def begin(trainer: chainer.training.Trainer) -> None:
        last.update(step=trainer.updater.iteration, time=trainer.elapsed_time)

    @chainer.training.make_extension(
        trigger=UpdateTrigger(), default_name="print", initializer=begin
    )
    def report(trainer: chainer.training.Trainer) -> None:
        observed = trainer.observation
        newest.update(
            {name: _number(observed[name]) for name in reports.printed.keys() & observed.keys()}
        )
        if not is_due(trainer):
            return
        step, time = trainer.updater.iteration, trainer.elapsed_time
        seconds = (time - last["time"]) / (step - last["step"])
        values = ", ".join(
            f"{title} = {newest[name]:.4g}"
            for name, title in reports.printed.items()
            if name in newest
        )
        print(
            f"{datetime.now():%Y-%m-%d %H:%M:%S}: step {step}, {values} "
            f"({reports.batch_size / max(seconds, 1e-9):.1f} examples/sec; {seconds:.3f} "
            "sec/batch)",
            flush=True,
        )
        last.update(step=step, time=time)

    return report


def _number(observed: object) -> float:
    """Returns an observation, which may be a Chainer variable, as a number."""
    return float(getattr(observed, "array", observed))
