"""A forecast of what compressing a model's folder takes."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from nncompress.compressing import find_frequencies, opened, refuse_weights
from nncompress.forecast import Forecast, forecast, forecast_large
from nncompress.machine import Machine
from nncompress.models.compressing import folder_bytes, matrix_bytes, table_of
from nncompress.models.folder import check_new_folder, find_parts
from nncompress.models.slots import TableSlot
from nncompress.plan import Plan
from nncompress.sources.frequencies import Frequencies
from nncompress.sources.weights import check_weights


def forecast_model(
    folder: Path,
    output: Path,
    plan: Plan,
    machine: Machine,
    *,
    heads: tuple[str, ...] = (),
    untie: bool = False,
    weights: np.ndarray | None = None,
    frequencies: str | os.PathLike | Mapping[str, float] | None = None,
    corpus: str | os.PathLike | None = None,
) -> tuple[Forecast, int, int]:
    """Forecasts what ``compress_folder`` takes, which has the same arguments.

    Returns:
        The forecast of all tables together, whose file is what they take in the folder; and the
        bytes of the folder before and after.

    Raises:
        InputError: Something given cannot be used.
    """
    check_new_folder(output, folder)
    slots = [slot for part in find_parts(folder, heads) for slot in part.slots]
    each = [_of_slot(folder, slot, plan, machine, weights, frequencies, corpus) for slot in slots]
    total = Forecast(
        sum(one.file_bytes for one in each), sum(one.source_bytes for one in each),
        sum(one.seconds for one in each), max(one.memory_bytes for one in each),
    )  # fmt: skip
    before = folder_bytes(folder)
    left_out = 0 if untie else sum(matrix_bytes(folder, slot) for slot in slots)
    return total, before, before - left_out + total.file_bytes


def _of_slot(
    folder: Path,
    slot: TableSlot,
    plan: Plan,
    machine: Machine,
    weights: np.ndarray | None,
    frequencies: str | os.PathLike | Mapping[str, float] | None,
    corpus: str | os.PathLike | None,
) -> Forecast:
    table = table_of(folder, slot, corpus)
    with opened(table, plan, machine, None, None) as (rows, small, _):
        if small is None:
            refuse_weights(rows, weights, frequencies, corpus)
            return forecast_large(rows, plan, machine)
        if weights is not None:
            weights = check_weights(weights, small.matrix)
        found: Frequencies | None = find_frequencies(table, small, frequencies)
        if found is not None:
            weights = found.weights
        # The words are the tokenizer's, which the folder has already.
        return forecast(replace(small, words=None), plan, machine, weights)
