"""A forecast of what compressing a table takes: bytes of the file, seconds and memory."""

import time
from dataclasses import dataclass

from nncompress.embedding.packing import Packing, bits_for
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.machine import Machine
from nncompress.pipeline import refines
from nncompress.refinement.forecast import forecast_seconds
from nncompress.refinement.refine import SAMPLE_ROWS, RefinementSettings
from nncompress.sources.tables import SourceTable
from nncompress.training.session import make_session
from nncompress.training.settings import TrainingOptions

_TIMED = 0.5  # seconds of training that are timed
_LIBRARIES_BYTES = 200 << 20
_COPIES_OF_PARAMETERS = 10  # gradients, moments, transposed ones, and those of a snapshot
_WORD_OBJECT_BYTES = 150  # a string, its bytes, and places in lists and a dictionary


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
    num_codebooks, num_codewords = size
    settings = options.resolve(num_rows, *size)
    num_units = num_codebooks * num_codewords
    row_bytes = Packing(num_codebooks, bits_for(num_codewords)).row_bytes
    file_bytes = num_rows * row_bytes + 2 * num_units * dim
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
    memory = _LIBRARIES_BYTES + num_rows * (8 + 3 * num_codebooks)
    memory += 4 * _COPIES_OF_PARAMETERS * session.chain.count_params()
    memory += _WORD_OBJECT_BYTES * len(table.words or ())
    if refines(settings.recipe, *size):
        seconds += forecast_seconds(matrix, num_codebooks, num_codewords, refinement, machine)
        memory += 24 * num_units**2 + 8 * dim * min(SAMPLE_ROWS, num_rows)
    return Forecast(file_bytes, 4 * num_rows * dim, seconds, memory)
