"""A trainer in a directory: what it prints, logs and saves, and how it goes on after a kill.

The directory has ``settings.json``, ``log``, pictures, and snapshots of the trainer. Each of them
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
DEFAULT_PERIOD = SnapshotPeriod.of("10m")  # between snapshots, as TensorFlow's sessions have it
_KEPT_SNAPSHOTS = 5  # as many as TensorFlow's savers keep
_MOST_ENTRIES = 1_000  # in the log, which each snapshot holds
_MOST_SETTINGS_BYTES = 1 << 20
_SELDOM = 30.0  # seconds between two drawings of a plot


@dataclass(frozen=True)
class Reports:
    """What a run reports of what its trainer observes.

    Attributes:
        printed: Names of observations, and what each is called in the lines that are printed.
        plots: Names of observations by the file of the picture that has them.
        log_frequency: Steps from one printed line to the next.
        batch_size: Examples a step, for the examples a second.
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
        trainer: A trainer that ends after ``max_steps``, with all that training needs. Its random
            numbers follow from the step, so that a run that was killed goes on as it would have.
        max_steps: The step that training ends with.
        settings: What the result depends on beside the number of steps, as JSON has it; noted in
            the directory, and compared with what is noted when a run goes on.
        reports: What is printed, logged and plotted.
        period: The time or the steps between two snapshots.
        resume: True to go on with the run in the directory.

    Raises:
        InputError: There is a run in the directory that is not to be resumed, or none that is; or
            it is another one, or in use.
        TrainingInterrupted: A signal came. A snapshot has been written.
        Diverged: The loss is not finite any more.
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
                trainer.run(show_loop_exception_msg=False)  # whoever called prints it
        except TrainingInterrupted as error:
            raise TrainingInterrupted(
                error.signal, f"{error}; --resume goes on from there"
            ) from None
        unwritten.check("training is complete", "make room, and go on with --resume")


def read_settings(directory: Path) -> dict[str, object] | None:
    """Returns the settings of the run in a directory; None if there is none.

    Raises:
        InputError: They are damaged.
    """
    path = directory / SETTINGS
    try:
        if path.stat().st_size > _MOST_SETTINGS_BYTES:
            raise ValueError("it is too long")
        settings = json.loads(path.read_text())
        if not isinstance(settings, dict):
            raise ValueError("it has no names")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} does not hold a run's settings ({error}); train anew, in another directory"
        ) from None
    return settings


def restore(loadable: object, arrays: Mapping[str, object], source: Path) -> None:
    """Brings a trainer, or what else has a method ``serialize``, to what a snapshot has.

    Raises:
        InputError: It is a snapshot of something else.
    """
    try:
        chainer.serializers.NpzDeserializer(arrays).load(loadable)
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        raise InputError(f"{source} is not a snapshot of this run: {error}") from None


@contextmanager
def _directory(out: Path) -> Iterator[None]:
    """Makes a directory, and keeps others from training in it while the block runs."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out} is no directory; wanted one to train in") from None
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
                f"{out} has a run of {steps:,} steps already; go on with it (--resume), name "
                "another directory, or remove this one"
            )
        with atomic_path(out / SETTINGS) as temporary:
            temporary.write_text(strict_json(dict(settings), indent=4) + "\n")
        return
    if noted is None:
        raise InputError(f"{out} has no run to go on with; leave --resume out to begin one")
    for name, value in json.loads(strict_json(dict(settings))).items():
        if noted.get(name) != value:
            raise InputError(
                f"{name} is {value!r}, and the run in {out} was begun with "
                f"{noted.get(name)!r}; go on with that, or begin another run elsewhere"
            )
    if found is None:
        return  # it was killed before it had one
    path, arrays = found
    steps = int(arrays["updater/iteration"])
    if steps > max_steps:
        raise InputError(
            f"the run in {out} has made {steps:,} steps already; wanted at least as many, and "
            f"not {max_steps:,}"
        )
    restore(trainer, arrays, path)
    remove_later(out, steps)  # they are damaged, and would keep new ones from being written
    print(f"Going on from step {steps:,}", flush=True)


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
    """Ends training before a loss that is not finite gets into averages and snapshots."""
    loss = _number(trainer.observation["main/loss"])
    if not math.isfinite(loss):
        raise Diverged(
            f"training has diverged: the loss is {loss} at step {trainer.updater.iteration:,}",
            "compress more gently: by a smaller alpha_decrement_value, or a rank that keeps more",
        )


def _print_report(reports: Reports, max_steps: int) -> object:
    """Returns the extension that prints lines, with the newest of what was observed."""
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
    """Returns an observation, which may be one of Chainer's variables, as a number."""
    return float(getattr(observed, "array", observed))
