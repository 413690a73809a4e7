"""Forecasting the cost of compressing a model's folder."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nncompress.forecast import Forecast, forecast_source
from nncompress.machine import Machine
from nncompress.models.compressing import table_of, tensor_bytes_of
from nncompress.models.folder import check_new_folder, check_untie, find_parts
from nncompress.models.folder_files import folder_bytes
from nncompress.plan import Plan


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
    """Forecasts the cost of ``compress_folder``, which takes the same arguments.

    Returns:
        The forecast for all tables together, whose ``file_bytes`` are their bytes in the folder;
        and the bytes of the folder before and after.

    Raises:
        InputError: An argument cannot be used.
    """
    check_new_folder(output, folder)
    slots = [slot for part in find_parts(folder, heads) for slot in part.slots]
    if untie:
        check_untie(folder, slots)
    # The words are in the tokenizer, which the folder already has.
    each = [
        forecast_source(
            table_of(folder, slot, corpus), plan, machine,
            weights=weights, frequencies=frequencies, has_words=False,
        )
        for slot in slots
    ]  # fmt: skip
    total = Forecast(
        sum(one.file_bytes for one in each), sum(one.source_bytes for one in each),
        sum(one.seconds for one in each), max(one.memory_bytes for one in each),
    )  # fmt: skip
    before = folder_bytes(folder)
    left_out = 0 if untie else sum(tensor_bytes_of(folder, s.file, s.tensor) for s in slots)
    return total, before, before - left_out + total.file_bytes
