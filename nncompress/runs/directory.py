"""A run's directory: its name and its configuration."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from nncompress.errors import InputError
from nncompress.formats.files import atomic_path
from nncompress.formats.locks import Lock
from nncompress.training.settings import TrainingOptions, TrainingSettings

CONFIG_FILE = "config.json"
LOG_FILE = "train.log"
_LOCK_FILE = "train.lock"


def create_run_directory(
    parent: str | os.PathLike, prefix: str, settings: TrainingSettings, now: datetime
) -> Path:
    """Creates a run's directory: ``<parent>/YYYYmmdd_HHMMSS_<prefix>_seed_...``, and so on.

    The name is that of the 2018 Chainer port, ``..._optim_Adam_tau_0.1_batch_64_M_32_K_16``. A
    recipe that is not the default stands before M and K: ``..._recipe_paper_M_32_K_16``.

    Args:
        parent: Directory that run directories are made in; created if missing.
        prefix: A word of the user's.
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
        InputError: Another process does.
    """
    lock = Lock.take(directory / _LOCK_FILE)
    if lock is None:
        raise InputError(
            f"another process trains in {directory}; wait for its end, or stop it, and continue "
            "the run then"
        )
    try:
        yield
    finally:
        lock.release()


def write_config(directory: Path, config: dict[str, object]) -> None:
    """Writes ``config.json``."""
    with atomic_path(directory / CONFIG_FILE) as temporary:
        temporary.write_text(json.dumps(config, indent=4, sort_keys=True) + "\n")


def read_config(directory: Path) -> dict[str, object]:
    """Reads ``config.json``.

    Raises:
        InputError: It is missing or is not a JSON object.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"{path} does not exist; wanted a run directory of train_comp.py")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path} holds a {type(config).__name__}; wanted a JSON object")
    return config
