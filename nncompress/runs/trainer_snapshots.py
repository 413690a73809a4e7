"""The trainer snapshots in a run directory, from which the run can be continued."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import FormatError, InputError
from nncompress.formats.files import atomic_path
from nncompress.formats.npz import NpzFile
from nncompress.formats.npz_writing import write_npz
from nncompress.runs.unwritten import Unwritten

KEPT_TRAINER_SNAPSHOTS = 2
_NAME = re.compile(r"trainer_snapshot_([0-9]{1,15})\.npz")
_OLD_NAME = "trainer_snapshot.npz"  # of runs that kept one, without a digest
_DIGEST = "sha256"
_NONE = "none"  # the names of values that are None, which is no array


class TrainerSnapshots(chainer.training.Extension):
    """Saves the whole trainer when training begins and at each call; keeps the newest snapshots.

    It runs after all extensions but the one that ends training, so that their changes are in the
    file.

    Args:
        directory: The run directory.
        unwritten: Collects the files that cannot be written.
        kept: The number of snapshots to keep, at least one.
    """

    default_name = "trainer_snapshots"
    priority = -900

    def __init__(
        self, directory: Path, unwritten: Unwritten, kept: int = KEPT_TRAINER_SNAPSHOTS
    ) -> None:
        self._directory = directory
        self._unwritten = unwritten
        self._kept = kept

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Saves the initial state."""
        # Chainer creates this state in the first step, and can only restore it if it exists.
        for optimizer in trainer.updater.get_all_optimizers().values():
            for parameter in optimizer.target.params():
                rule = parameter.update_rule
                if rule is not None and rule.state is None and parameter.array is not None:
                    rule._init_states(parameter)
        self(trainer)

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Saves the trainer, unless there is a snapshot of this iteration."""
        path = self._directory / f"trainer_snapshot_{trainer.updater.iteration}.npz"
        with self._unwritten.trying("the trainer's snapshot"):
            if not path.is_file():
                _write(path, trainer)
            for older in trainer_snapshots(self._directory)[self._kept :]:
                older.unlink(missing_ok=True)


def trainer_snapshots(directory: Path) -> list[Path]:
    """Returns the trainer snapshots in a run directory, the newest first."""
    numbered = [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]
    old = directory / _OLD_NAME
    newest_first = sorted(numbered, key=lambda path: _iteration_in(path), reverse=True)
    return [*newest_first, *([old] if old.is_file() else [])]


def is_trainer_snapshot(path: Path) -> bool:
    """Tells whether a file has the name of a trainer snapshot."""
    return path.name == _OLD_NAME or _NAME.fullmatch(path.name) is not None


def read_trainer_snapshot(path: Path) -> dict[str, np.ndarray]:
    """Reads and verifies a snapshot.

    Raises:
        InputError: It is not a snapshot, or has changed since it was written.
    """
    with NpzFile(path, "a trainer snapshot") as file:
        if path.name != _OLD_NAME and (
            sum(file.header(name).data_bytes for name in file) > path.stat().st_size
        ):
            raise FormatError(f"{path} is compressed, which no trainer snapshot of a run is")
        arrays = _without_objects(file) if path.name == _OLD_NAME else dict(file)
    digest = arrays.pop(_DIGEST, None)
    if path.name != _OLD_NAME and (digest is None or str(digest) != _digest_of(arrays)):
        raise InputError(f"{path} is damaged: its contents do not match the SHA-256 in it")
    for name in arrays.pop(_NONE, ()):
        arrays[str(name)] = np.asarray(None)
    iteration = arrays.get("updater/iteration")
    if iteration is None or iteration.shape != () or iteration.dtype.kind not in "iu":
        raise InputError(f"{path} is not a trainer snapshot: it has no iteration")
    if path.name != _OLD_NAME and int(iteration) != _iteration_in(path):
        raise InputError(f"{path} is of iteration {iteration}, which disagrees with its name")
    return arrays


def newest_trainer_snapshot(directory: Path) -> tuple[Path, dict[str, np.ndarray]] | None:
    """Reads the newest undamaged snapshot; a warning names those skipped.

    Args:
        directory: The run directory.

    Returns:
        Its path and contents; None if there is no snapshot.

    Raises:
        InputError: There are snapshots, but none can be used.
    """
    errors = []
    for path in trainer_snapshots(directory):
        try:
            arrays = read_trainer_snapshot(path)
        except InputError as error:
            errors.append(str(error))
            continue
        if errors:
            warnings.warn(f"{'; '.join(errors)}; continuing from {path}", stacklevel=3)
        return path, arrays
    if errors:
        raise InputError(f"{'; '.join(errors)}; there is no older one to continue from")
    return None


def remove_later(directory: Path, iteration: int) -> None:
    """Removes the snapshots of iterations later than the one the run continues from.

    Args:
        directory: The run directory.
        iteration: The iteration.
    """
    for path in trainer_snapshots(directory):
        if path.name != _OLD_NAME and _iteration_in(path) > iteration:
            path.unlink()


def _iteration_in(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1])


def _without_objects(file: NpzFile) -> dict[str, np.ndarray]:
    """Returns the arrays of a snapshot by Chainer itself, in which None is a Python object."""
    arrays = {}
    for name in file:
        with suppress(FormatError):
            arrays[name] = file[name]
    return arrays


def _write(path: Path, trainer: chainer.training.Trainer) -> None:
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(trainer)
    arrays = {name: np.asarray(value) for name, value in serializer.target.items()}
    nothing = [name for name, array in arrays.items() if array.dtype == object and array == None]  # noqa: E711
    for name in nothing:
        del arrays[name]
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise InputError(
            f"the trainer's {objects[0]} is a Python object, which a snapshot cannot hold; wanted "
            "numbers, strings or arrays from its method serialize"
        )
    if nothing:
        arrays[_NONE] = np.array(nothing)
    with atomic_path(path) as temporary:
        write_npz(temporary, arrays | {_DIGEST: np.array(_digest_of(arrays))})


def _digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
