"""A job of compressing that can be continued: what it depends on, and what is kept of training."""

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
from nncompress.training.checkpoint import forget
from nncompress.version import __version__

_TRAINED = "trained"
# Raised where jobs go through rows in other passes: one that began with those before cannot go on.
_PASSES = 2


@contextmanager
def open_work(
    path: str | os.PathLike | None,
    output: str | os.PathLike | None,
    plan: Plan,
    machine: Machine,
    others: Mapping[str, object],
) -> Iterator[WorkDirectory | None]:
    """Opens the directory in which a job of ``make_table`` is kept.

    Args:
        path: The directory; None for none.
        output: The file that the job is to write, which must not be in it; None for none.
        plan: What the table is to become.
        machine: The machine to compute on.
        others: Further settings that the result depends on, by name.

    Yields:
        The directory; None for none.

    Raises:
        InputError: It holds the work of another job, or is used by one, or the job has a time
            budget.
    """
    if path is None:
        yield None
        return
    if plan.refinement.seconds is not None:
        raise InputError(
            "a time budget (--time-budget) and a work directory (--work) were given; what a time "
            "budget reaches is never the same twice, so leave one of them out"
        )
    if output is not None and Path(path).resolve() in Path(output).resolve().parents:
        raise InputError(
            f"the output {output} is in the work directory {path}, which is emptied in the end; "
            "wanted it elsewhere"
        )
    with WorkDirectory.open(path) as work:
        work.require({
            "version": __version__, "passes": _PASSES,
            "device": "CPU" if machine.gpu < 0 else "GPU",
            **plan.settings(), **asdict(plan.training), **asdict(plan.refinement), **others,
        })  # fmt: skip
        yield work


def require_weights(work: WorkDirectory, weights: np.ndarray | None) -> None:
    """Requires the weights that the job began with.

    Args:
        work: The job's directory.
        weights: The weight of each row, float64 ``(N,)``; None: all the same.

    Raises:
        InputError: They are others.
    """
    digest = None if weights is None else hashlib.sha256(weights.data).hexdigest()
    work.require({"the weights' SHA-256": digest})


def has_trained(work: WorkDirectory) -> bool:
    """Tells whether training is over, if what it ended with is intact."""
    return work.state_path(_TRAINED).is_file()


def trained_once(
    work: WorkDirectory, train: Callable[[], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns codes and codebook of training, which is done once.

    Args:
        work: The job's directory.
        train: Returns codes ``(N, M)`` and codebook ``(M*K, D)``.
    """
    state = work.load(_TRAINED)
    if state is not None:
        return state.arrays["codes"], state.arrays["codebook"]
    codes, codebook = train()
    work.save(_TRAINED, {"codes": codes, "codebook": codebook}, {})
    forget(work)
    return codes, codebook
