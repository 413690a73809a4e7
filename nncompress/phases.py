"""The phases of compressing a table and their rough durations, for the progress line.

Durations follow from sizes alone, with constants for one core of a usual machine; the time that
phases really take corrects them (``timetable``). Forecasts for the user are measured instead
(``forecast``).
"""

from collections.abc import Sequence
from pathlib import Path

from nncompress.autoencoder.size import num_parameters
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.refinement.forecast import Passes
from nncompress.refinement.refine import RefinementSettings
from nncompress.timetable import Expected
from nncompress.training.settings import TrainingOptions

TRAINING, ENCODING, REFINING = "training", "encoding", "refining"
FINDING, CHOOSING = "finding neighbours", "choosing the step"
CODING, MEASURING = "coding rows", "measuring"
SEARCHING, WRITING = "searching the smallest size", "writing"

# Seconds per byte of text, per number that is checked, and per number that is written.
_READING, _CHECKING, _WRITING = 1.5e-8, 2e-9, 1e-9
# Seconds per number of a coded row, and per number of a row that a quantizer is fitted to.
_CODING, _FITTING = 2e-7, 3.5e-7
# Seconds per pair of a row and a row whose neighbours are found, and what the first rows, of which
# many are near so far, take besides.
_NEIGHBOURS, _FIRST_NEIGHBOURS, _FIRST_ROWS = 2e-8, 5e-8, 20_000
# The usual numbers of steps that are tried, of times that all rows are coded, and of sizes that
# are tried in a search for the smallest.
TRIALS, CODINGS, _SIZES = 4, 2, 8
_SAMPLE, _FITTED, _QUERIES, _PRODUCTS = 8_192, 65_536, 1_000, 2e11
# Seconds per parameter and row, in training and in encoding.
_STEP, _ENCODING = 6e-10, 2e-10
_GPU_IS_FASTER = 20.0
# Encoding a row for a fixed codebook takes about as long as this many trials of refinement.
_TRIALS_A_ROW = 16
# Rough bytes per number of a text file, and numbers per row.
_BYTES_A_NUMBER, _USUAL_DIM = 9, 300


def phases_of_files(
    files: Sequence[Path], plan: Plan, machine: Machine, *, find: bool = False
) -> list[Expected]:
    """Returns the phases of compressing a table that is not open yet.

    Args:
        files: The table's files.
        plan: What the table is to become.
        machine: The machine to compute on.
        find: Whether the smallest size is searched.
    """
    sizes = {path: path.stat().st_size for path in files if path.is_file()}
    reading = [Expected(f"reading {path.name}", _READING * size) for path, size in sizes.items()]
    num_rows = max(1, sum(sizes.values()) // (_BYTES_A_NUMBER * _USUAL_DIM))
    shape = num_rows, _USUAL_DIM
    checking = Expected("checking rows", _CHECKING * num_rows * _USUAL_DIM)
    return [*reading, checking, *phases_of_table(shape, plan, machine, find=find)]


def phases_of_table(
    shape: tuple[int, int], plan: Plan, machine: Machine, *, find: bool = False
) -> list[Expected]:
    """Returns the phases of compressing a table that is open.

    Args:
        shape: N and D.
        plan: What the table is to become.
        machine: The machine to compute on.
        find: Whether the smallest size is searched.
    """
    num_rows, dim = shape
    queries = min(_QUERIES, _PRODUCTS / (num_rows * dim))
    asked = queries * (num_rows * _NEIGHBOURS + min(num_rows, _FIRST_ROWS) * _FIRST_NEIGHBOURS)
    phases = []
    if plan.size is not None:
        phases += phases_of_codes(shape, plan.size, plan.training, plan.refinement)
    if plan.has_residual:
        sample = min(num_rows, _SAMPLE) * dim
        finding = asked + sample * _FITTING
        choosing = TRIALS * sample * (_FITTING + 2 * _CODING)
        all_rows = min(num_rows, _FITTED) * dim * _FITTING + num_rows * dim * _CODING + asked
        phases += [
            Expected(FINDING, finding), Expected(CHOOSING, choosing),
            Expected(CODING, CODINGS * all_rows),
        ]  # fmt: skip
    measuring = 2 * asked + num_rows * dim * _CODING
    if find:
        whole = measuring + sum(each.seconds for each in phases)
        phases = [Expected(SEARCHING, _SIZES * whole)]
    else:
        phases.append(Expected(MEASURING, measuring))
    return [*on_machine(phases, machine), Expected(WRITING, _WRITING * num_rows * dim)]


def phases_of_model(
    shape: tuple[int, int], plan: Plan, machine: Machine, sample: int
) -> list[Expected]:
    """Returns the phases of learning a model on a sample of a table's rows.

    Args:
        shape: N and D of the table.
        plan: What the rows are to become.
        machine: The machine to compute on.
        sample: Rows of the sample.
    """
    dim = shape[1]
    *phases, writing = phases_of_table((sample, dim), plan, machine)
    learning = [each for each in phases if each.name != MEASURING]
    checking = Expected("checking rows", _CHECKING * sample * dim)
    return [Expected("reading the sample", _CHECKING * sample * dim), checking, *learning, writing]


def phases_of_large_table(
    shape: tuple[int, int], plan: Plan, machine: Machine, sample: int
) -> list[Expected]:
    """Returns the phases of learning a model on a sample and encoding all rows by it.

    Args:
        shape: N and D.
        plan: What the rows are to become.
        machine: The machine to compute on.
        sample: Rows of the sample.
    """
    num_rows, dim = shape
    *learning, _ = phases_of_model(shape, plan, machine, sample)
    encoding = _CODING * num_rows * dim if plan.has_residual else 0.0
    if plan.size is not None:
        encoding += _TRIALS_A_ROW * num_rows * Passes.usual(*plan.size, dim).trial
    measuring = Expected(MEASURING, _SAMPLE * dim * _CODING)
    encoding_and_measuring = [Expected("encoding rows", encoding), measuring]
    writing = Expected(WRITING, _WRITING * num_rows * dim)
    return [*learning, *on_machine(encoding_and_measuring, machine), writing]


def on_machine(phases: Sequence[Expected], machine: Machine) -> list[Expected]:
    """Returns phases timed for one core with their times on a machine with more cores or a GPU."""
    cores = machine.threads if machine.runtime is None else _GPU_IS_FASTER
    return [Expected(each.name, each.seconds / cores) for each in phases]


def phases_of_codes(
    shape: tuple[int, int],
    size: tuple[int, int],
    training: TrainingOptions,
    refinement: RefinementSettings,
) -> list[Expected]:
    """Returns the phases of learning additive codes, on one core.

    Args:
        shape: N and D.
        size: M and K.
        training: The options of training.
        refinement: The settings of refinement.
    """
    num_rows, dim = shape
    settings = training.resolve(num_rows, *size)
    rows = settings.iterations * settings.batch_size
    phases = [
        Expected(TRAINING, _STEP * rows * num_parameters(dim, *size)),
        *phases_of_encoding(shape, size, refinement if settings.recipe == "fast" else None),
    ]
    budget = refinement.seconds
    expected = sum(each.seconds for each in phases)
    if budget is None or expected <= budget:
        return phases
    return [Expected(each.name, each.seconds * budget / expected) for each in phases]


def phases_of_encoding(
    shape: tuple[int, int], size: tuple[int, int], refinement: RefinementSettings | None
) -> list[Expected]:
    """Returns the phases of encoding rows by a trained autoencoder, on one core.

    Args:
        shape: N and D.
        size: M and K.
        refinement: The settings of refinement; None: there is none.
    """
    num_rows, dim = shape
    phases = [Expected(ENCODING, _ENCODING * num_rows * num_parameters(dim, *size))]
    if refinement is not None:
        refining = Passes.usual(*size, dim).seconds(shape, *size, refinement)
        phases.append(Expected(REFINING, refining))
    return phases
