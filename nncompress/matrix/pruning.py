"""The gradual schedule of pruning, and what it takes away.

Source: Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
compression", 2017; names and rules are those of TensorFlow's model_pruning, except that counts
are exact where it has a histogram's threshold.
"""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.hyperparameters import HParams


def sparsity_at(spec: HParams, step: int) -> float:
    """Returns the share of blocks that the schedule has pruned at a step.

    From ``initial_sparsity`` at ``sparsity_function_begin_step`` it goes to ``target_sparsity`` at
    ``sparsity_function_end_step``, slower and slower where ``sparsity_function_exponent`` is above
    1.
    """
    begin, end = spec.sparsity_function_begin_step, spec.sparsity_function_end_step
    left = 1.0 - min(1.0, max(0.0, (step - begin) / (end - begin)))
    gap = spec.initial_sparsity - spec.target_sparsity
    return gap * left**spec.sparsity_function_exponent + spec.target_sparsity


def final_sparsity(spec: HParams) -> float:
    """Returns the share of blocks that are pruned when a matrix is factored.

    It is what the schedule has reached by ``end_pruning_step``, or ``pruning_fraction`` if that is
    more. Without a schedule it is ``pruning_fraction``.
    """
    if "target_sparsity" not in spec:
        return spec.pruning_fraction
    end = spec.end_pruning_step
    scheduled = spec.target_sparsity if end == -1 else sparsity_at(spec, end)
    return max(scheduled, spec.pruning_fraction)


def mask_is_due(spec: HParams, step: int, last: int) -> bool:
    """Tells whether a step updates the mask.

    It does if it is within ``begin_pruning_step`` and ``end_pruning_step``, both included, and
    ``pruning_frequency`` steps after the last one.

    Args:
        spec: Hyperparameters.
        step: The step.
        last: The step of the last update; 0 before the first.
    """
    end = spec.end_pruning_step
    within = spec.begin_pruning_step <= step and (end == -1 or step <= end)
    return within and last + spec.pruning_frequency <= step


def num_kept(num_blocks: int, sparsity: float) -> int:
    """Returns how many blocks pruning leaves: the nearest number, and at least 1."""
    return max(1, round(num_blocks * (1 - sparsity)))


def kept_blocks(blocks: np.ndarray, sparsity: float) -> np.ndarray:
    """Returns which blocks pruning leaves: those with the largest mean of magnitudes.

    Of equal ones the first stay.

    Args:
        blocks: NumPy or CuPy ``(num_blocks, block_size)``.
        sparsity: The share of blocks to prune.

    Returns:
        bool ``(num_blocks,)``.
    """
    xp = chainer.backend.get_array_module(blocks)
    magnitudes = xp.abs(blocks).mean(axis=1)
    kept = xp.zeros(len(blocks), dtype=bool)
    kept[xp.argsort(-magnitudes, kind="stable")[: num_kept(len(blocks), sparsity)]] = True
    return kept


def pruning_warning(spec: HParams) -> str | None:
    """Returns a line on a schedule that has not ended when matrices are factored; None if it has.

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
        f"at begin_compression_step {begin} the schedule of pruning has reached {before:.3g} of "
        f"{after:.3g}, and matrices will be pruned to {after:.3g} at once when they are factored; "
        f"set begin_compression_step to {end} or more"
    )
