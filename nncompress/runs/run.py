"""Runs of ``nncompress train``: starting, continuing and completing them."""

import hashlib
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from nncompress.missing import brought_by

with brought_by("train"):
    from threadpoolctl import threadpool_limits

from nncompress.autoencoder.snapshot import read_parameters
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import Diverged, InputError, TrainingInterrupted
from nncompress.evaluate.pictures import plot_rate_distortion
from nncompress.evaluate.sizing import HEADING, Point, choose_size
from nncompress.evaluate.target import Target
from nncompress.formats.files import clear_up
from nncompress.machine import Machine
from nncompress.progress import phase, report, say
from nncompress.runs.best_file import best_snapshot, snapshot_name, snapshots_by_name
from nncompress.runs.config import CONFIG_FILE, CONFIG_NAMES, read_config, write_config
from nncompress.runs.data import TrainingData
from nncompress.runs.directory import LOG_FILE, create_run_directory
from nncompress.runs.interruption import Interruption
from nncompress.runs.log import log_provenance, log_to
from nncompress.runs.snapshot_period import DEFAULT_PERIOD, SnapshotPeriod
from nncompress.runs.space import check_run_space
from nncompress.runs.trainer import make_run_session
from nncompress.runs.trainer_snapshots import (
    is_trainer_snapshot,
    newest_trainer_snapshot,
    read_trainer_snapshot,
    remove_later,
)
from nncompress.runs.unwritten import Unwritten
from nncompress.sources import EmbeddingMatrix
from nncompress.training.best import BestParameters
from nncompress.training.processes import ALONE, Processes
from nncompress.training.session import TrainingSession
from nncompress.training.settings import TrainingOptions, TrainingSettings

# Options that may change when a run is continued.
_MAY_DIFFER = ("epochs", "full_precision", "matrix_dtype")


@dataclass(frozen=True)
class RunChoices:
    """A user's choices for a run; None where nothing was chosen.

    Attributes:
        data: The arguments of ``TrainingData`` that were given.
        options: The arguments of ``TrainingOptions`` that were given.
        num_codebooks: M.
        num_codewords: K.
        target: The target for which M and K are chosen.
        gpu: Number of the GPU, -1 for the CPU.
        threads: CPU threads of each process.
        out: Directory in which run directories are made.
        prefix: A word in the run directory's name.
        period: The time between two of the trainer's snapshots.
        processes: The processes that train together, all with the same choices.
        optimizer: A Chainer optimizer to use instead of the one named in the options, not yet set
            up on a link.
        extensions: Extensions in addition to those that fill the run directory.
    """

    data: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    num_codebooks: int | None = None
    num_codewords: int | None = None
    target: Target | None = None
    gpu: int | None = None
    threads: int | None = None
    out: Path | None = None
    prefix: str | None = None
    period: SnapshotPeriod | None = None
    processes: Processes = ALONE
    optimizer: chainer.GradientMethod | None = None
    extensions: Sequence[object] = ()


@dataclass(frozen=True)
class TrainingRun:
    """A run directory and the session that trains into it.

    Attributes:
        directory: The run directory.
        config: The contents of ``config.json``.
        session: Chain and trainer.
        interruption: The trainer extension that ends training when a signal arrives.
        unwritten: Collects the files that cannot be written.
        processes: The processes that train together; the first one writes.
    """

    directory: Path
    config: dict[str, object]
    session: TrainingSession
    interruption: Interruption
    unwritten: Unwritten
    processes: Processes

    def train(self, started: datetime) -> None:
        """Trains to the end and logs everything.

        Args:
            started: The time at which the command began.

        Raises:
            TrainingInterrupted: SIGINT, SIGTERM or SIGHUP arrived. The run directory holds
                everything needed to continue.
            Diverged: A loss or a parameter is not finite. The run directory has the best models
                from before.
            OutputError: Training is complete, but a file could not be written.
        """
        if self.processes.is_first:
            self._train_and_log(started)
        else:
            with self.interruption.listen():
                self.session.run()
        self.processes.first(
            lambda: self.unwritten.check(
                "training is complete",
                f"make room and continue the run in {self.directory}, which writes it",
            )
        )

    def _train_and_log(self, started: datetime) -> None:
        log_path = self.directory / LOG_FILE
        try:
            with (
                self.interruption.listen(),
                log_to(log_path, started, "Training complete!!", self.unwritten) as log,
            ):
                log_provenance(log)
                log(f"Hyperparameters: {self.config}")
                report(self._heading(log_path))
                try:
                    learned = self.session.run()
                except Diverged as error:
                    best = best_snapshot(self.directory)
                    kept = (
                        "no model was saved" if best is None else f"the last good model is {best}"
                    )
                    raise Diverged(error.seen, error.advice, kept) from None
                learned.warn_if_poor()
            report(
                f"best loss {learned.loss:.6g} at step {learned.iteration:,}; the run is in "
                f"{self.directory}"
            )
        except TrainingInterrupted as error:
            parts = filter(None, (str(error), self.unwritten.told()))
            raise TrainingInterrupted(error.signal, "; ".join(parts)) from None

    def _heading(self, log_path: Path) -> str:
        """Returns a line about what is to be trained."""
        num_rows, dim = self.config["matrix_shape"]
        steps, done = self.config["iterations"], self.session.trainer.updater.iteration
        return (
            f"training {num_rows:,} x {dim} with M={self.config['M']} K={self.config['K']}, "
            f"{steps:,} steps{f', {done:,} of them done' if done else ''}; log: {log_path}"
        )


def new_run(choices: RunChoices, started: datetime) -> TrainingRun:
    """Makes a new run ready to train.

    Args:
        choices: The user's choices, including the matrix.
        started: The time at which the command began, for the name of the run directory.

    Raises:
        InputError: A choice cannot be used. Nothing has been written.
    """
    options, processes = TrainingOptions(**choices.options), choices.processes
    gpu = -1 if choices.gpu is None else choices.gpu
    data = TrainingData(**choices.data)
    machine = _machine(choices, gpu, options, options.matrix_dtype)
    matrix, weights = processes.together(data.open)
    size, points, chosen = processes.first(lambda: _sizes(choices, matrix, options.seed, machine))
    settings = options.resolve(len(matrix), *size, processes.size)
    _require_same(processes, settings, matrix, weights)
    directory = processes.first(lambda: _new_directory(choices, settings, matrix, started))
    period, unwritten = choices.period or DEFAULT_PERIOD, Unwritten()
    config = _config(settings, data, matrix, gpu, period, processes) | _own_parts(choices)

    def prepare() -> tuple[TrainingSession, Interruption]:
        if processes.is_first:
            if chosen is not None:
                config["rate_distortion"] = [asdict(point) for point in points]
                plot_rate_distortion(directory / "plots" / "rate_distortion.png", points, chosen)
            write_config(directory, config)
        return make_run_session(
            matrix, settings, directory, machine, weights, choices.optimizer, choices.extensions,
            period, unwritten, processes,
        )  # fmt: skip

    try:
        session = processes.together(prepare)
    except BaseException:
        if processes.is_first:
            shutil.rmtree(directory)
        raise
    return TrainingRun(directory, config, *session, unwritten, processes)


def _machine(
    choices: RunChoices, gpu: int, options: TrainingOptions, matrix_dtype: str
) -> Machine:
    """Opens the machine for this process to train on.

    Args:
        choices: The user's choices.
        gpu: Number of the GPU; -1 for the CPU.
        options: The options of training.
        matrix_dtype: The type of the matrix on a GPU, as chosen or as in the run.

    Raises:
        InputError: It is not available, or cannot do what is wanted.
    """
    processes = choices.processes
    threads = processes.threads if choices.threads is None else choices.threads
    machine = processes.together(lambda: Machine(processes.gpu(gpu), threads))
    options.check_machine(machine)
    if processes.size > 1 and gpu >= 0 and matrix_dtype != "float32":
        raise InputError(
            f"the matrix is to be {matrix_dtype} on the GPU (--matrix-dtype), where processes "
            "that train together do not keep it; wanted float32, or one process"
        )
    if processes.size > 1:
        threadpool_limits(machine.threads)  # of NumPy, which does Chainer's own steps
    processes.connect(gpu)
    return machine


def _require_same(
    processes: Processes,
    settings: TrainingSettings,
    matrix: EmbeddingMatrix,
    weights: np.ndarray | None,
) -> None:
    """Checks that all processes would train the same.

    Raises:
        InputError: They would not.
    """
    if processes.size > 1:
        numbers = None if weights is None else hashlib.blake2b(weights.data).digest()
        processes.require_same((settings, matrix.sample_digest(), numbers))


def _new_directory(
    choices: RunChoices, settings: TrainingSettings, matrix: EmbeddingMatrix, started: datetime
) -> Path:
    """Creates the run directory."""
    parent = choices.out or Path("result")
    check_run_space(parent, settings, *matrix.shape)
    return create_run_directory(parent, choices.prefix or "model", settings, started)


def _sizes(
    choices: RunChoices, matrix: EmbeddingMatrix, seed: int, machine: Machine
) -> tuple[tuple[int, int], Sequence[Point], Point | None]:
    """Returns M, K and, if the user left them open, the points they were chosen from."""
    size = choices.num_codebooks, choices.num_codewords
    if choices.target is None:
        return (32 if size[0] is None else size[0], 16 if size[1] is None else size[1]), (), None
    if size != (None, None):
        raise InputError("a target chooses M and K; leave -M and -K out, or the target")
    say(f"Choosing M and K for {choices.target}\n{HEADING}")
    with phase("choosing M and K"):
        chosen, points = choose_size(matrix, choices.target, seed=seed, machine=machine)
    say(f"Chosen: M={chosen.num_codebooks}, K={chosen.num_codewords}")
    return (chosen.num_codebooks, chosen.num_codewords), points, chosen


def continued_run(resumed: Path, choices: RunChoices) -> TrainingRun:
    """Makes an earlier run ready to continue.

    Snapshots of later iterations than the one it continues from are removed.

    Args:
        resumed: The run directory, whose newest undamaged trainer snapshot is used, or one of its
            trainer snapshots.
        choices: The user's choices, most of which must agree with the run.

    Raises:
        InputError: There is no such run, or a choice cannot be used. Nothing has been written.
    """
    directory = run_directory_of(resumed)
    processes = choices.processes
    config = processes.together(lambda: read_config(directory))
    source, arrays = processes.first(lambda: _snapshot_of(resumed, directory))
    _refuse_other_parts(choices, config, directory)
    settings, data = _settings_of(directory, config)
    _refuse_changes(choices, config | data.config(), directory)
    gpu = config["gpu"] if choices.gpu is None else choices.gpu
    options = TrainingOptions(**choices.options)
    matrix_dtype = choices.options.get("matrix_dtype", settings.matrix_dtype)
    machine = _machine(choices, gpu, options, matrix_dtype)
    changed = {name: value for name, value in choices.options.items() if name in _MAY_DIFFER}
    epochs = changed.pop("epochs", None)
    settings = replace(settings, **changed)
    matrix, weights = processes.together(data.open)
    if list(matrix.shape) != config["matrix_shape"]:
        raise InputError(
            f"{data.matrix} has shape {matrix.shape} now; the run in {directory} was trained on "
            f"{tuple(config['matrix_shape'])}"
        )
    if config.get("matrix_sample") not in (None, matrix.sample_digest()):
        raise InputError(
            f"{data.matrix} has changed since the run in {directory} was started; wanted the same "
            "matrix, or a new run"
        )
    if epochs is not None:
        iterations = settings.iterations_of(epochs, len(matrix))
        settings = replace(settings, iterations=iterations)
    done = 0 if arrays is None else int(arrays["updater/iteration"])
    if done > settings.iterations:
        raise InputError(
            f"the run in {directory} has already made {done} steps; "
            f"wanted more than that, not {settings.iterations}"
        )
    _require_same(processes, settings, matrix, weights)
    period, unwritten = choices.period or _period_of(config, directory), Unwritten()

    def prepare() -> tuple[TrainingSession, Interruption]:
        if processes.is_first:
            check_run_space(directory, settings, *matrix.shape)
        session, interruption = make_run_session(
            matrix, settings, directory, machine, weights, choices.optimizer, choices.extensions,
            period, unwritten, processes,
        )  # fmt: skip
        if arrays is not None:
            _restore(session.trainer, arrays, source)
        _complete_best(session.best, directory, settings)
        return session, interruption

    session = processes.together(prepare)
    config |= _config(settings, data, matrix, gpu, period, processes)
    if processes.is_first:
        remove_later(directory, done)
        write_config(directory, config)
    return TrainingRun(directory, config, *session, unwritten, processes)


def _snapshot_of(
    resumed: Path, directory: Path
) -> tuple[Path | None, dict[str, np.ndarray] | None]:
    """Cleans up and reads the trainer snapshot to continue from; None: the beginning."""
    clear_up(directory)
    if resumed != directory:
        return resumed, read_trainer_snapshot(resumed)
    found = newest_trainer_snapshot(directory)
    if found is None and snapshots_by_name(directory):
        raise InputError(
            f"{directory} has no trainer snapshot (trainer_snapshot_<n>.npz) to continue from; "
            "train anew"
        )
    return found or (None, None)


def _restore(
    trainer: chainer.training.Trainer, arrays: Mapping[str, np.ndarray], source: Path
) -> None:
    """Restores a trainer from a snapshot."""
    try:
        chainer.serializers.NpzDeserializer(arrays).load(trainer)
    except (
        *(ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError),
        StopIteration,
    ) as error:
        raise InputError(f"{source} is not a trainer snapshot of this run: {error}") from None


def run_directory_of(resumed: Path) -> Path:
    """Returns the directory of a run to continue.

    Args:
        resumed: The directory, or one of its trainer snapshots.

    Raises:
        InputError: It is neither.
    """
    if resumed.is_dir():
        directory = resumed
    elif not resumed.exists():
        raise InputError(f"{resumed} does not exist; wanted a run directory to continue")
    elif is_trainer_snapshot(resumed):
        directory = resumed.parent
    else:
        raise InputError(
            f"{resumed} is not a trainer snapshot; wanted the run directory {resumed.parent}, or "
            "a file trainer_snapshot_<n>.npz in it"
        )
    if not (directory / CONFIG_FILE).is_file():
        raise InputError(
            f"{directory / CONFIG_FILE} does not exist; wanted a run directory of train_comp.py"
        )
    return directory


def _complete_best(best: BestParameters, directory: Path, settings: TrainingSettings) -> None:
    """Takes the best parameters from their own file if the trainer snapshot has none."""
    if best.iteration < 0 or best.parameters():
        return
    path = directory / snapshot_name(best.iteration)
    if path.is_file():
        best.adopt(read_parameters(path, settings.num_codebooks, settings.num_codewords))
    else:
        best.forget()


def _period_of(config: Mapping[str, object], directory: Path) -> SnapshotPeriod:
    """Returns the time between trainer snapshots chosen at the start of a run."""
    if "snapshot_every" not in config:
        return DEFAULT_PERIOD
    try:
        return SnapshotPeriod.of(config["snapshot_every"])
    except InputError as error:
        raise InputError(f"{directory / CONFIG_FILE}: {error}") from None


def _own_parts(choices: RunChoices) -> dict[str, object]:
    """Returns the configuration entries for the user's own optimizer and extensions."""
    optimizer = choices.optimizer
    return {
        "own_optimizer": None if optimizer is None else type(optimizer).__name__,
        "own_extensions": [
            getattr(each, "default_name", None) or getattr(each, "__name__", type(each).__name__)
            for each in choices.extensions
        ],
    }


def _refuse_other_parts(
    choices: RunChoices, config: Mapping[str, object], directory: Path
) -> None:
    """Refuses to continue with another optimizer, and warns of missing extensions."""
    now = _own_parts(choices)
    before, after = config.get("own_optimizer"), now["own_optimizer"]
    if before != after:
        raise InputError(
            f"the run in {directory} was trained by {before or 'the optimizer in its settings'}, "
            f"but {after or 'no optimizer'} is given; to continue, give the same in Python"
        )
    missing = [
        name for name in config.get("own_extensions", ()) if name not in now["own_extensions"]
    ]
    if missing:
        warnings.warn(
            f"the run in {directory} was started with the extensions {', '.join(missing)}, which "
            "are missing now",
            stacklevel=3,
        )


def _config(
    settings: TrainingSettings,
    data: TrainingData,
    matrix: EmbeddingMatrix,
    gpu: int,
    period: SnapshotPeriod,
    processes: Processes,
) -> dict[str, object]:
    config = {CONFIG_NAMES.get(name, name): value for name, value in asdict(settings).items()}
    return (
        config
        | data.config()
        | {
            "matrix_shape": list(matrix.shape),
            "matrix_sample": matrix.sample_digest(),
            "epoch": round(settings.iterations * settings.batch_size / len(matrix), 3),
            "gpu": gpu,
            "communicator": processes.name,
            "processes": processes.size,
            "snapshot_every": period.text,
        }
    )


def _settings_of(
    directory: Path, config: dict[str, object]
) -> tuple[TrainingSettings, TrainingData]:
    try:
        settings = TrainingSettings(
            **{
                each.name: config[name]
                for each in fields(TrainingSettings)
                # Runs older than a setting have its default.
                if (name := CONFIG_NAMES.get(each.name, each.name)) in config
                or each.default is MISSING
            }
        )
        for name in ("input_matrix", "matrix_shape", "limit", "gpu"):
            config[name]
    except KeyError as error:
        raise InputError(
            f"{directory}/config.json has no {error}, so the run cannot be continued"
        ) from None
    return settings, TrainingData.of_config(config, directory / CONFIG_FILE)


def _refuse_changes(choices: RunChoices, config: dict[str, object], directory: Path) -> None:
    """Refuses choices that would make the rest of a run differ from its beginning."""
    if choices.out is not None or choices.prefix is not None:
        raise InputError(
            f"the run continues in {directory}; leave out --out and --dir-prefix, which are for "
            "new runs"
        )
    if choices.target is not None:
        raise InputError("a target chooses M and K of a new run; leave it out to continue a run")
    given = {name: value for name, value in choices.options.items() if name not in _MAY_DIFFER}
    sizes = {"num_codebooks": choices.num_codebooks, "num_codewords": choices.num_codewords}
    given |= {name: value for name, value in sizes.items() if value is not None}
    given |= {
        "input_matrix" if name == "matrix" else name: os.fspath(value.resolve())
        if isinstance(value, Path)
        else value
        for name, value in choices.data.items()
    }
    size = choices.processes.size
    for name, value in given.items():
        known, seen = config.get(CONFIG_NAMES.get(name, name)), value
        if name == "batch_size" and size > 1:
            value, seen = size * value, f"{size} x {value}"
        if value != known:
            raise InputError(
                f"{CONFIG_NAMES.get(name, name)} is {seen}, and the run in {directory} has "
                f"{known}; leave it out to continue this run, or start a new one"
            )
