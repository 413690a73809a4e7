"""A run's directory and its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from nncompress.errors import InputError
from nncompress.formats.locks import Lock
from nncompress.training.settings import TrainingOptions, TrainingSettings

LOG_FILE = "train.log"
_LOCK_FILE = "train.lock"


def create_run_directory(
    parent: str | os.PathLike, prefix: str, settings: TrainingSettings, now: datetime
) -> Path:
    """Creates a run's directory: ``<parent>/YYYYmmdd_HHMMSS_<prefix>_seed_...``, and so on.

    The name follows the Chainer port of 2018: ``..._optim_Adam_tau_0.1_batch_64_M_32_K_16``. A
    recipe other than the default comes before M and K: ``..._recipe_paper_M_32_K_16``.

    Args:
        parent: Directory in which run directories are made; created if missing.
        prefix: The user's word for the name.
        settings: The run's settings; tau is the final one.
        now: The time in the name.

    Returns:
        The path of a directory that did not exist: a number is appended if the name is taken.
    """
    is_default = settings.recipe == TrainingOptions.recipe
    recipe = "" if is_default else f"_recipe_{settings.recipe}"
    name = (
        f"{now:%Y%m%d_%H%M%S}_{prefix}_seed_{settings.seed}_optim_{settings.optimizer}"
        f"_tau_{float(settings.tau)}_batch_{settings.batch_size}{recipe}"
        f"_M_{settings.num_codebooks}_K_{settings.num_codewords}"
    )
    taken = 1
    while True:
        path = Path(parent) / (name if taken == 1 else f"{name}_{taken}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not path.is_dir():
                raise InputError(f"{parent} is not a directory; wanted one for the runs") from None
            taken += 1
        except NotADirectoryError:
            raise InputError(f"{parent} is not a directory; wanted one for the runs") from None
        else:
            return path


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in a run directory while the block runs.

    Raises:
        InputError: Another process is training there.
    """
    lock = Lock.take(directory / _LOCK_FILE)
    if lock is None:
        raise InputError(
            f"another process trains in {directory}; wait for it to end or stop it, then continue "
            "the run"
        )
    try:
        yield
    finally:
        lock.release()
