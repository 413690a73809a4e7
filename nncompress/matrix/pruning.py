"""The gradual pruning schedule, and the selection of blocks to prune.

Source: Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
compression", 2017; names and rules are those of TensorFlow's model_pruning, except that counts
are exact instead of relying on a threshold from a histogram.
"""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.hyperparameters import HParams


def sparsity_at(spec: HParams, step: int) -> float:
    """Returns the share of blocks that the schedule has pruned at a step.

    It goes from ``initial_sparsity`` at ``sparsity_function_begin_step`` to ``target_sparsity`` at
    ``sparsity_function_end_step``, slowing down if ``sparsity_function_exponent`` is above 1.
    """
    begin, end = spec.sparsity_function_begin_step, spec.sparsity_function_end_step
    left = 1.0 - min(1.0, max(0.0, (step - begin) / (end - begin)))
    gap = spec.initial_sparsity - spec.target_sparsity
    return gap * left**spec.sparsity_function_exponent + spec.target_sparsity


def final_sparsity(spec: HParams) -> float:
    """Returns the share of blocks that are pruned when a matrix is factored.

    This is the share that the schedule reaches by ``end_pruning_step``, or ``pruning_fraction`` if
    that is larger. Without a schedule, it is ``pruning_fraction``.
    """
    if "target_sparsity" not in spec:
        return spec.pruning_fraction
    end = spec.end_pruning_step
    scheduled = spec.target_sparsity if end == -1 else sparsity_at(spec, end)
    return max(scheduled, spec.pruning_fraction)


def mask_is_due(spec: HParams, step: int, last: int) -> bool:
    """Tells whether a step updates the mask.

    It does if it lies between ``begin_pruning_step`` and ``end_pruning_step``, both included, and
    at least ``pruning_frequency`` steps after the last update.

    Args:
        spec: Hyperparameters.
        step: The step.
        last: The step of the last update; 0 before the first.
    """
    end = spec.end_pruning_step
    within = spec.begin_pruning_step <= step and (end == -1 or step <= end)
    return within and last + spec.pruning_frequency <= step


def num_kept(num_blocks: int, sparsity: float) -> int:
    """Returns the number of blocks that pruning leaves, rounded to the nearest and at least 1."""
    return max(1, round(num_blocks * (1 - sparsity)))


def kept_blocks(blocks: np.ndarray, sparsity: float) -> np.ndarray:
    """Selects the blocks that pruning keeps: those with the largest mean magnitude.

    Among equal blocks, the first ones are kept.

    Args:
        blocks: NumPy or CuPy ``(num_blocks, block_size)``.
        sparsity: The share of blocks to prune.

    Returns:
        bool ``(num_blocks,)``, True for the blocks to keep.
    """
    xp = chainer.backend.get_array_module(blocks)
    magnitudes = xp.abs(blocks).mean(axis=1)
    kept = xp.zeros(len(blocks), dtype=bool)
    kept[xp.argsort(-magnitudes, kind="stable")[: num_kept(len(blocks), sparsity)]] = True
    return kept


def pruning_warning(spec: HParams) -> str | None:
    """Returns a warning if the schedule has not ended when matrices are factored; otherwise None.

    Args:
        spec: Hyperparameters of option 8.
    """
    begin, end = spec.begin_compression_step, spec.sparsity_function_end_step
    if spec.end_pruning_step != -1:
        end = min(end, spec.end_pruning_step)
    before, after = sparsity_at(spec, min(begin, end)), final_sparsity(spec)
    if begin < spec.begin_pruning_step:
        before, end = 0.0, max(end, spec.begin_pruning_step)
    if before >= after or spec.pruning_fraction == after:
        return None
    return (
        f"at begin_compression_step {begin}, the pruning schedule has reached {before:.3g} of "
        f"{after:.3g}, so matrices will be pruned to {after:.3g} at once when they are factored; "
        f"set begin_compression_step to {end} or more"
    )
