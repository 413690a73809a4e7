"""The work directory of a compression job that can be continued."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.work import WorkDirectory
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.training.kept import forget_trainer
from nncompress.version import __version__

_TRAINED = "trained"
# Increased when jobs go through rows in different passes, so that old jobs cannot be continued.
_PASSES = 2


@contextmanager
def open_work(
    path: str | os.PathLike | None,
    output: str | os.PathLike | None,
    plan: Plan,
    machine: Machine,
    others: Mapping[str, object],
) -> Iterator[WorkDirectory | None]:
    """Opens the work directory of a ``make_table`` job.

    Args:
        path: The directory; None for none.
        output: The file that the job will write, which must not be in the directory; None for
            none.
        plan: The target for the table.
        machine: The machine to compute on.
        others: Other settings that the result depends on, by name.

    Yields:
        The directory; None for none.

    Raises:
        InputError: The directory belongs to another job or is in use, or the job has a time
            budget.
    """
    if path is None:
        yield None
        return
    if plan.refinement.seconds is not None:
        raise InputError(
            "a time budget (--time-budget) and a work directory (--work) were given; with a time "
            "budget, results cannot be reproduced, so leave one of them out"
        )
    if output is not None and Path(path).resolve() in Path(output).resolve().parents:
        raise InputError(
            f"the output {output} is inside the work directory {path}, which is emptied at the "
            "end; write it elsewhere"
        )
    with WorkDirectory.open(path) as work:
        work.require({
            "version": __version__, "passes": _PASSES,
            "device": "CPU" if machine.gpu < 0 else "GPU",
            **plan.settings(), **asdict(plan.training), **asdict(plan.refinement), **others,
        })  # fmt: skip
        yield work


def require_weights(work: WorkDirectory, weights: np.ndarray | None) -> None:
    """Requires that the weights are those that the job began with.

    Args:
        work: The job's directory.
        weights: The weight of each row, float64 ``(N,)``; None for equal weights.

    Raises:
        InputError: The weights are different.
    """
    digest = None if weights is None else hashlib.sha256(weights.data).hexdigest()
    work.require({"the weights' SHA-256": digest})


def has_trained(work: WorkDirectory) -> bool:
    """Tells whether training is finished, provided that its result is intact."""
    return work.state_path(_TRAINED).is_file()


def trained_once(
    work: WorkDirectory, train: Callable[[], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the codes and codebook from training, which runs only once per job.

    Args:
        work: The job's directory.
        train: A function that returns codes ``(N, M)`` and codebook ``(M*K, D)``.
    """
    state = work.load(_TRAINED)
    if state is not None:
        return state.arrays["codes"], state.arrays["codebook"]
    codes, codebook = train()
    work.save(_TRAINED, {"codes": codes, "codebook": codebook}, {})
    forget_trainer(work)
    return codes, codebook
