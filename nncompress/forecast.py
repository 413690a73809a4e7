"""A forecast of what compressing a table takes: bytes of the file, seconds and memory."""

import time
from dataclasses import dataclass

from nncompress.embedding.vocabulary import Vocabulary
from nncompress.machine import Machine
from nncompress.needs import memory_bytes, table_bytes
from nncompress.pipeline import refines
from nncompress.refinement.forecast import forecast_seconds
from nncompress.refinement.refine import RefinementSettings
from nncompress.sources.tables import SourceTable
from nncompress.training.session import make_session
from nncompress.training.settings import TrainingOptions

_TIMED = 0.5  # seconds of training that are timed


@dataclass(frozen=True)
class Forecast:
    """A forecast, whose file size is exact but for the header and the codebook's type.

    Attributes:
        file_bytes: Size of the ``.nnc`` file, its codebook in float16.
        source_bytes: Size of the matrix in float32.
        seconds: From an open table to the file.
        memory_bytes: The most memory in use at once, without the pages of mapped files.
    """

    file_bytes: int
    source_bytes: int
    seconds: float
    memory_bytes: int


def forecast(
    table: SourceTable,
    size: tuple[int, int],
    options: TrainingOptions,
    machine: Machine,
    refinement: RefinementSettings = RefinementSettings(),
) -> Forecast:
    """Times some steps of training and some passes of refinement, on the rows themselves.

    Args:
        table: The table.
        size: M and K.
        options: The settings that training is asked for.
        machine: The machine to compute on.
        refinement: The settings of refinement.

    Raises:
        InputError: A setting cannot be used.
    """
    matrix = table.matrix
    num_rows, dim = matrix.shape
    settings = options.resolve(num_rows, *size)
    file_bytes = table_bytes(num_rows, dim, size)
    if table.words is not None:
        sections = Vocabulary.of_words(table.words, num_rows).sections
        file_bytes += sum(array.nbytes for array in sections.values())
    session = make_session(matrix, settings, machine)
    updater = session.trainer.updater
    updater.update()  # the first one compiles
    updater.wait()
    started, first = time.perf_counter(), updater.iteration
    while time.perf_counter() - started < _TIMED and updater.iteration < settings.iterations:
        updater.update()
    updater.wait()
    elapsed = time.perf_counter() - started
    seconds = settings.iterations * elapsed / max(1, updater.iteration - first)
    refined = refines(settings.recipe, matrix, size, machine, refinement)
    if refined:
        seconds += forecast_seconds(matrix, *size, refinement, machine)
    memory = memory_bytes(num_rows, dim, size, len(table.words or ()), refined=refined)
    return Forecast(file_bytes, 4 * num_rows * dim, seconds, memory)
