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
    """Adds the command's arguments; None marks what is not given."""
    add = parser.add_argument
    add(
        "-b",
        "--batchsize",
        type=int,
        dest="batch_size",
        metavar="BATCHSIZE",
        help="rows a step, of each process (fast: 32, others: 64)",
    )
    add("-e", "--epoch", type=int, dest="epochs", metavar="EPOCH",
        help="passes over the rows (fast: chosen, paper and authors: 200)")  # fmt: skip
    add("-g", "--gpu", type=int, help="number of the GPU; -1, the default, is the CPU")
    add(
        "--fp32",
        action="store_const",
        const=True,
        dest="full_precision",
        help="on a GPU: products with all of float32's digits (default: TF32's)",
    )
    add(
        "--matrix-dtype",
        choices=MATRIX_DTYPES,
        help="on a GPU: type of the matrix there (default: float32)",
    )
    add(
        "-r",
        "--resume",
        type=Path,
        metavar="RUN",
        help="run directory to continue, or its trainer_snapshot_<n>.npz",
    )
    add(
        "--snapshot-every",
        metavar="PERIOD",
        help="save what --resume needs every 30s, 5m or 1h, or so many iterations (default: 30s)",
    )
    add("-O", "--optimizer", choices=OPTIMIZERS, help="(default: Adam)")
    add("--learning-rate", "--lr", type=float, help="(fast: 5e-3 at its peak, others: 1e-4)")
    add("-M", "--M", type=int, dest="num_codebooks", help="number of codebooks (default: 32)")
    add("-K", "--K", type=int, dest="num_codewords", help="codewords in each (default: 16)")
    add("--tau", type=float, help="final temperature; alone, the temperature of every step")
    add("--tau-start", type=float, help="temperature of the first step")
    add("--max-grad-norm", type=float, help="clip gradients to this global norm")
    add("--input-matrix", type=Path, help=f"matrix in a .npy file (default: {DEFAULT_MATRIX})")
    add("--limit", type=int, help="use only the first n rows")
    add("--weights", type=Path, help="weights of the rows: .npy, or text with a number a line")
    add(
        "--objective",
        choices=OBJECTIVES,
        help="what to keep small; cosine keeps the rows' directions alone (default: distance)",
    )
    for name, what in (
        ("bytes-per-row", "choose M and K: most bytes a row, codes and codebook together"),
        ("distance", "choose M and K: largest mean Euclidean distance"),
        ("cosine", "choose M and K: smallest mean cosine"),
    ):
        add(f"--target-{name}", type=float, help=what)
    add("--seed", type=int, help="seed of everything random (default: 0)")
    add("-o", "--out", type=Path, help="where run directories go (default: result)")
    add("--dir-prefix", help="a word in the run directory's name (default: model)")
    add(
        "--threads",
        type=int,
        help="threads of each process on the CPU (default: its share of the usable cores)",
    )
    add(
        "--communicator",
        choices=COMMUNICATORS,
        help="train in the processes that mpiexec has started; pure_nccl is for GPUs",
    )
    add("--recipe", choices=list(RECIPES), help="(default: fast)")


def run(
    arguments: argparse.Namespace, *, optimizer: object = None, extensions: Sequence[object] = ()
) -> Path:
    """Runs the command.

    Args:
        arguments: The command line's.
        optimizer: An optimizer of Chainer's in place of the one that is named, set up on no link
            yet.
        extensions: Chainer's or your own, with triggers of their own.

    Returns:
        The run directory.

    Raises:
        InputError: Something given cannot be used.
        OutputError: Something could not be written.
        TrainingInterrupted: A signal came while training; the message tells how to go on.
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
    """Trains to the end, and says how to go on if that is interrupted."""
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
    return training.directory


def _continuing(arguments: argparse.Namespace, directory: Path, processes: "Processes") -> str:
    """Returns the command line that goes on with a run."""
    # The command nncompress knows its commands' names; a script has one.
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
            "recipe's annealing is off; add --tau-start for the temperature to fall from there",
            stacklevel=2,
        )


def require_default_matrix(flag: str) -> None:
    """Refuses to begin without the matrix that is read if none is named.

    Args:
        flag: The one that names another.

    Raises:
        InputError: It is not there.
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
