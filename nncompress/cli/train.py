"""Train the compositional autoencoder on an embedding matrix."""

import argparse
import shlex
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.cli import together
from nncompress.cli.next_steps import after_training
from nncompress.cli.paths import named
from nncompress.cli.terminal import tell_next
from nncompress.errors import InputError, TrainingInterrupted
from nncompress.training.settings import (
    COMMUNICATORS,
    MATRIX_DTYPES,
    OBJECTIVES,
    OPTIMIZERS,
    RECIPES,
)

if TYPE_CHECKING:
    from nncompress.evaluate.target import Target
    from nncompress.runs.run import RunChoices, TrainingRun
    from nncompress.training.processes import Processes

DEFAULT_MATRIX = Path("data/glove.6B.300d.npy")
EXAMPLE = "--M 32 --K 16 --input-matrix data/glove.6B.50d.npy"
_OPTIONS = (
    *("recipe", "optimizer", "seed", "batch_size", "epochs", "learning_rate"),
    *("tau", "tau_start", "max_grad_norm", "full_precision", "matrix_dtype"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments; those that are not given are None."""
    add = parser.add_argument_group("the matrix").add_argument
    add("--input-matrix", type=named, metavar="FILE",
        help=f"matrix in a .npy file (default: {DEFAULT_MATRIX})")  # fmt: skip
    add("--limit", type=int, metavar="N", help="use only the first N rows")
    add("--weights", type=named, metavar="FILE",
        help="weights of the rows: a .npy file, or text with one number per line")  # fmt: skip
    add("--objective", choices=OBJECTIVES,
        help="what to minimize; cosine preserves only the directions of rows (default: "
        "distance)")  # fmt: skip

    add = parser.add_argument_group("size or quality", "M and K, or one target").add_argument
    add("-M", "--M", type=int, dest="num_codebooks", metavar="M",
        help="number of codebooks (default: 32)")  # fmt: skip
    add("-K", "--K", type=int, dest="num_codewords", metavar="K",
        help="codewords in each codebook (default: 16)")  # fmt: skip
    for name, metavar, what in (
        ("bytes-per-row", "BYTES",
         "choose M and K for at most so many bytes per row, codebook included"),
        ("distance", "DISTANCE", "choose M and K for at most this mean Euclidean distance"),
        ("cosine", "COSINE", "choose M and K for at least this mean cosine"),
    ):  # fmt: skip
        add(f"--target-{name}", type=float, metavar=metavar, help=what)

    add = parser.add_argument_group("training").add_argument
    add("--recipe", choices=list(RECIPES), help="set of defaults (default: fast)")
    add("-e", "--epoch", type=int, dest="epochs", metavar="EPOCHS",
        help="passes over the rows (fast: chosen by their number, paper and authors: "
        "200)")  # fmt: skip
    add("-b", "--batchsize", type=int, dest="batch_size", metavar="ROWS",
        help="rows per step in each process (fast: 32, other recipes: 64)")  # fmt: skip
    add("-O", "--optimizer", choices=OPTIMIZERS, help="optimizer (default: Adam)")
    add("--learning-rate", "--lr", type=float, metavar="RATE",
        help="learning rate (fast: 5e-3 at its peak, other recipes: 1e-4)")  # fmt: skip
    add("--tau", type=float, help="final temperature; without --tau-start, that of every step")
    add("--tau-start", type=float, metavar="TAU", help="temperature of the first step")
    add("--max-grad-norm", type=float, metavar="NORM", help="clip gradients to this global norm")
    add("--seed", type=int, help="random seed (default: 0)")

    add = parser.add_argument_group("the run").add_argument
    add("-o", "--out", type=named, metavar="DIR",
        help="directory for run directories (default: result)")  # fmt: skip
    add("--dir-prefix", metavar="WORD",
        help="a word in the run directory's name (default: model)")  # fmt: skip
    add("-r", "--resume", type=named, metavar="RUN",
        help="run directory to continue, or one of its files "
        "trainer_snapshot_<n>.npz")  # fmt: skip
    add("--snapshot-every", metavar="PERIOD",
        help="save what --resume needs every 30s, 5m or 1h, or after a number of iterations "
        "(default: 30s)")  # fmt: skip

    add = parser.add_argument_group("machine").add_argument
    add("-g", "--gpu", type=int, help="number of the GPU (default: -1, the CPU)")
    add("--fp32", action="store_const", const=True, dest="full_precision",
        help="on a GPU: multiply in full float32 precision (default: TF32)")  # fmt: skip
    add("--matrix-dtype", choices=MATRIX_DTYPES,
        help="on a GPU: type in which the matrix is kept there (default: float32)")  # fmt: skip
    add("--threads", type=int,
        help="CPU threads of each process (default: its share of the usable "
        "cores)")  # fmt: skip
    add("--communicator", choices=COMMUNICATORS,
        help="train in all processes started by mpiexec; pure_nccl is for GPUs")  # fmt: skip


def run(
    arguments: argparse.Namespace, *, optimizer: object = None, extensions: Sequence[object] = ()
) -> Path:
    """Runs the command.

    Args:
        arguments: The parsed command line.
        optimizer: A Chainer optimizer to use instead of the one named, not yet set up on a link.
        extensions: Further trainer extensions, with their own triggers.

    Returns:
        The run directory.

    Raises:
        InputError: An argument cannot be used.
        OutputError: A file could not be written.
        TrainingInterrupted: A signal interrupted training; the message says how to continue.
    """
    with together.one_speaks(processes := together.open_processes(arguments.communicator)):
        return _run(arguments, processes, optimizer, extensions)


def _run(
    arguments: argparse.Namespace,
    processes: "Processes",
    optimizer: object,
    extensions: Sequence[object],
) -> Path:
    started = datetime.now()
    resumed, matrix, every = arguments.resume, arguments.input_matrix, arguments.snapshot_every
    if resumed is None and matrix is None:
        require_default_matrix("--input-matrix")
        matrix = DEFAULT_MATRIX

    from nncompress.runs.directory import alone_in
    from nncompress.runs.run import RunChoices, continued_run, new_run, run_directory_of
    from nncompress.runs.snapshot_period import SnapshotPeriod

    choices = RunChoices(
        data=_given(
            matrix=matrix,
            limit=arguments.limit,
            objective=arguments.objective,
            weights=arguments.weights,
        ),
        options=_given(**{name: getattr(arguments, name) for name in _OPTIONS}),
        num_codebooks=arguments.num_codebooks,
        num_codewords=arguments.num_codewords,
        target=_target(arguments),
        gpu=arguments.gpu,
        threads=arguments.threads,
        optimizer=optimizer,
        extensions=extensions,
        out=arguments.out,
        prefix=arguments.dir_prefix,
        period=None if every is None else SnapshotPeriod.of(every),
        processes=processes,
    )
    with ExitStack() as stack:

        def lock(directory: Path) -> None:
            processes.first(lambda: stack.enter_context(alone_in(directory)))

        if resumed is not None:
            lock(run_directory_of(resumed))
            return _train(continued_run(resumed, choices), arguments, started, choices)
        training = new_run(choices, started)
        _tell_of_tau(arguments)
        lock(training.directory)
        return _train(training, arguments, started, choices)


def _train(
    training: "TrainingRun",
    arguments: argparse.Namespace,
    started: datetime,
    choices: "RunChoices",
) -> Path:
    """Trains to the end; if interrupted, says how to continue."""
    try:
        training.train(started)
    except TrainingInterrupted as error:
        command = _continuing(arguments, training.directory, choices.processes)
        own = (
            ", with the same optimizer and extensions"
            if choices.optimizer or choices.extensions
            else ""
        )
        message = f"{error}; continue with: {command}{own}"
        raise TrainingInterrupted(error.signal, message) from None
    tell_next(after_training(getattr(arguments, "command", None), training.directory))
    return training.directory


def _continuing(arguments: argparse.Namespace, directory: Path, processes: "Processes") -> str:
    """Returns the command line that continues a run."""
    # Under ``nncompress`` the arguments name the command; a script is its only command.
    name = getattr(arguments, "command", None)
    words = ["nncompress", name] if name else ["python", sys.argv[0]]
    if processes.name is not None:
        words = ["mpiexec", "-n", str(processes.size), *words, "--communicator", processes.name]
    return shlex.join([*words, "--resume", str(directory)])


def _tell_of_tau(arguments: argparse.Namespace) -> None:
    alone = arguments.tau is not None and arguments.tau_start is None
    if alone and arguments.recipe in (None, "fast"):
        warnings.warn(
            f"--tau alone keeps the temperature at {arguments.tau:g} in every step: the fast "
            "recipe's annealing is off; add --tau-start to let the temperature fall from there",
            stacklevel=2,
        )


def require_default_matrix(flag: str) -> None:
    """Checks that the default matrix exists.

    Args:
        flag: The flag that names another matrix.

    Raises:
        InputError: It does not exist.
    """
    if not DEFAULT_MATRIX.exists():
        raise InputError(
            f"{DEFAULT_MATRIX} does not exist; get it with scripts/download_glove_data.sh and "
            "python scripts/convert_glove2numpy.py data/glove.6B.300d.txt, or name another "
            f"matrix with {flag}"
        )


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _target(arguments: argparse.Namespace) -> "Target | None":
    wanted = _given(
        bytes_per_row=arguments.target_bytes_per_row,
        distance=arguments.target_distance,
        cosine=arguments.target_cosine,
    )
    if not wanted:
        return None
    from nncompress.evaluate.target import Target

    return Target(**wanted)
