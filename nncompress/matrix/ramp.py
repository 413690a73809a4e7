"""The schedule on which alpha falls from 1 to 0.

Source: ``CompressionOp`` of Google's graph_compression library: the rule of its update op in the
TensorFlow graph, and the different rule of its ``run_update_step``.
"""

import math

from nncompress.matrix.hyperparameters import HParams
from nncompress.matrix.options import CompressionOptions, UpdateOptions

# Sums of decimal fractions are not exactly whole numbers.
_ROUNDING = 1e-9


def alpha_after(spec: HParams, num_updates: int) -> float:
    """Returns alpha after a number of updates, from 1 to 0."""
    alpha = max(0.0, 1.0 - num_updates * spec.alpha_decrement_value)
    return 0.0 if alpha < _ROUNDING else alpha


def falls_on_schedule(spec: HParams, step: int, last: int) -> bool:
    """Tells whether a step is due by ``compression_frequency``.

    It is if it lies between ``begin_compression_step`` and ``end_compression_step``, both
    included, and at least ``compression_frequency`` steps after the last update.

    Args:
        spec: Hyperparameters.
        step: The step.
        last: The step of the last update; -1 before the first.
    """
    end = spec.end_compression_step
    within = spec.begin_compression_step <= step and (end == -1 or step <= end)
    return within and last + spec.compression_frequency <= step


def falls_on_call(spec: HParams, step: int) -> bool:
    """Tells whether a call of ``run_update_step`` lowers alpha: it must come before the end.

    With ``end_compression_step=-1``, no call does, except with option 8. The original does the
    same: it compares the step with -1 as a number, except in option 8, where -1 means no end.
    """
    end = spec.end_compression_step
    return spec.begin_compression_step <= step and (step < end or _calls_never_end(spec))


def _calls_never_end(spec: HParams) -> bool:
    return _prunes(spec) and spec.end_compression_step == -1


def _prunes(spec: HParams) -> bool:
    return spec.compression_option == CompressionOptions.KMEANS_AND_PRUNING_MATRIX_COMPRESSION


def lowered_by(spec: HParams) -> tuple[bool, bool]:
    """Tells whether the trainer's extension lowers alpha, and whether calls do."""
    option, both = spec.update_option, UpdateOptions.TF_AND_PYTHON_UPDATE
    extension = option == UpdateOptions.TF_UPDATE or (option == both and not _prunes(spec))
    return extension, option in (UpdateOptions.PYTHON_UPDATE, both)


def ramp_warning(spec: HParams) -> str | None:
    """Returns a warning if alpha cannot reach 0 before the ramp ends; otherwise None.

    Args:
        spec: Hyperparameters of an option with an alpha.
    """
    begin, end, period = (
        spec.begin_compression_step, spec.end_compression_step, spec.compression_frequency
    )  # fmt: skip
    by_extension, by_calls = lowered_by(spec)
    if end == -1:
        if by_extension or _calls_never_end(spec):
            return None
        return (
            f"with update_option {spec.update_option:d} and end_compression_step -1, alpha never "
            "falls (as in the original, whose run_update_step treats -1 as a step); set "
            "end_compression_step"
        )
    first = max(begin, period - 1)
    possible = by_extension * max(0, (end - first) // period + 1) + by_calls * (end - begin)
    needed = math.ceil(1 / spec.alpha_decrement_value - _ROUNDING)
    if possible >= needed:
        return None
    enough = begin + needed if by_calls else first + (needed - 1) * period
    decrement = f", or alpha_decrement_value to {_at_least(1 / possible)}" if possible else ""
    every = "an update at each step" if period == 1 else f"an update every {period} steps"
    how = "a call at each step" if by_calls else every
    return (
        f"from step {begin} to {end}, with {how}, alpha falls {possible} times by "
        f"{spec.alpha_decrement_value:g} and ends at {alpha_after(spec, possible):g}, not at 0; "
        f"set end_compression_step to {enough}{decrement}"
    )


def _at_least(value: float) -> str:
    """Returns a number with three digits, rounded up."""
    scale = 10.0 ** (2 - math.floor(math.log10(value)))
    return f"{math.ceil(value * scale - _ROUNDING) / scale:g}"
