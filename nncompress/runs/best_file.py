"""``best.json``: a run's best model snapshots and their digests."""

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nncompress.errors import InputError
from nncompress.formats.files import clear_up, sha256_of
from nncompress.formats.npy import open_file
from nncompress.formats.strict_json import strict_json

BEST_FILE = "best.json"
_PREFIX = "iter_"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class KeptSnapshot:
    """One of the best model snapshots.

    Attributes:
        iteration: The iteration at which it was taken.
        loss: Its validation loss.
        sha256: The SHA-256 of the file, in hexadecimal.
    """

    iteration: int
    loss: float
    sha256: str


def snapshot_name(iteration: int) -> str:
    """Returns the file name of the model's snapshot at an iteration."""
    return f"{_PREFIX}{iteration}.npz"


def snapshots_by_name(directory: Path) -> dict[int, Path]:
    """Returns the model's snapshots in a run directory by their iterations."""
    return {
        int(digits): path
        for path in directory.glob(f"{_PREFIX}*.npz")
        if re.fullmatch("0|[1-9][0-9]{0,14}", digits := path.stem.removeprefix(_PREFIX))
    }


def write_best(path: Path, kept: Sequence[KeptSnapshot]) -> None:
    """Writes the list of the best snapshots.

    Args:
        path: The file.
        kept: The snapshots, the best first.
    """
    entries = [
        {
            "iteration": each.iteration,
            "validation_loss": each.loss,
            "sha256": each.sha256,
        }
        for each in kept
    ]
    path.write_text(strict_json({"snapshots": entries}, indent=4) + "\n", encoding="utf-8")


def read_best(directory: Path) -> list[KeptSnapshot] | None:
    """Reads the list of the best snapshots.

    Args:
        directory: The run directory.

    Returns:
        The snapshots, the best first; None if there is no list, as in older runs.

    Raises:
        InputError: The list cannot be read.
    """
    path = directory / BEST_FILE
    if not path.exists():
        return None
    try:
        with open_file(path, "the best snapshots") as file:
            text = file.read(_MOST_BYTES)
    except InputError:
        if not path.exists():  # by now
            return None
        raise
    try:
        kept = [_entry(each) for each in json.loads(text)["snapshots"]]
        if not kept:
            raise ValueError("no snapshot")
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise InputError(
            f"{path} is not a list of the best snapshots ({type(error).__name__}: {error}); name "
            "a snapshot iter_<n>.npz, or continue the run, which rewrites the file"
        ) from None
    return kept


def best_snapshot(directory: str | os.PathLike) -> Path | None:
    """Returns the best snapshot of a run directory.

    Args:
        directory: The run directory. If nothing says which snapshot is best, as in older runs, it
            is the latest one, because only better models were saved.

    Returns:
        The path; None if there is no snapshot.

    Raises:
        InputError: ``best.json`` cannot be read, or the snapshot is not the one it names.
    """
    directory = Path(directory)
    clear_up(directory)
    kept = read_best(directory)
    while kept is not None:
        path = directory / snapshot_name(kept[0].iteration)
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            found = None
        if found == kept[0].sha256:
            return path
        # Meanwhile, training may have replaced it by a better one.
        before, kept = kept, read_best(directory)
        if kept == before:
            seen = "is missing" if found is None else "has changed since"
            raise InputError(
                f"{directory / BEST_FILE} names {path.name} as the best, which {seen}; name a "
                "snapshot to decode, or continue the run, which rewrites both"
            )
    by_name = snapshots_by_name(directory)
    return by_name[max(by_name)] if by_name else None


def _entry(value: object) -> KeptSnapshot:
    if not isinstance(value, dict):
        raise TypeError("an entry is not an object")
    iteration, loss, digest = value["iteration"], value["validation_loss"], value["sha256"]
    if type(iteration) is not int or iteration < 0:
        raise ValueError(f"the iteration is {iteration!r}")
    if not isinstance(digest, str):
        raise TypeError("a SHA-256 is not a string")
    if loss is not None and (type(loss) not in (int, float) or not math.isfinite(loss)):
        raise ValueError(f"the loss is {loss!r}")
    return KeptSnapshot(iteration, math.nan if loss is None else float(loss), digest)
