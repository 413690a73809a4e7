"""The disk space that a run needs."""

from pathlib import Path

from nncompress.autoencoder.size import num_parameters
from nncompress.formats.space import check_space
from nncompress.runs.best_file import snapshots_by_name
from nncompress.runs.best_snapshots import KEPT_SNAPSHOTS
from nncompress.runs.trainer_snapshots import KEPT_TRAINER_SNAPSHOTS, trainer_snapshots
from nncompress.training.settings import TrainingSettings
from nncompress.training.triggers import REPORT_INTERVAL

_ENTRY = 300  # bytes of an entry of the JSON logs, roughly
_CHARACTER = 4  # bytes of one in a snapshot, which holds the logs too
_OTHERS = 1_000_000  # plots, the run's log, its configuration


def check_run_space(directory: Path, settings: TrainingSettings, rows: int, dim: int) -> None:
    """Checks that the files of a run fit on the disk.

    Args:
        directory: The run directory, or its future place. Existing snapshots make room for their
            successors.
        settings: The run's settings.
        rows: Rows of the matrix.
        dim: Columns of the matrix.

    Raises:
        InputError: They do not fit.
    """
    needed = _bytes_of_run(settings, rows, dim)
    if directory.is_dir():
        there = [*trainer_snapshots(directory), *snapshots_by_name(directory).values()]
        needed -= sum(path.stat().st_size for path in there)
    check_space({directory: max(0, needed)}, "training", "name another place (--out)")


def _bytes_of_run(settings: TrainingSettings, rows: int, dim: int) -> int:
    """Returns the bytes of all files while one snapshot more than is kept is being written."""
    numbers = num_parameters(dim, settings.num_codebooks, settings.num_codewords)
    model = 4 * (numbers + dim)
    entries = (
        settings.iterations // REPORT_INTERVAL
        + settings.iterations * settings.batch_size // rows
        + 2
    )
    logs = _ENTRY * entries
    # Parameters, the best of them, and Adam's two moments.
    trainer = 4 * model + _CHARACTER * logs
    snapshots = (KEPT_SNAPSHOTS + 1) * model + (KEPT_TRAINER_SNAPSHOTS + 1) * trainer
    return snapshots + logs + _OTHERS
