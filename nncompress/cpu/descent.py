"""Optimizer steps on the weights of a block: Adam, or SGD, with decay and clipping."""

from typing import NamedTuple

import numpy as np
from numba import njit

from nncompress.cpu.barrier import wait_for_all
from nncompress.cpu.elementary import JIT, SUM, inverse


class Weights(NamedTuple):
    """The parameters, or as many gradients or moments."""

    w1: np.ndarray  # (H, D)
    b1: np.ndarray  # (H,)
    w2: np.ndarray  # (L, H)
    b2: np.ndarray  # (L,)
    codebook: np.ndarray  # (L, D)


class Shape(NamedTuple):
    """Sizes that the arrays' shapes do not tell, and how the work is cut."""

    num_codebooks: int  # M
    num_codewords: int  # K
    blocks: int


class Descent(NamedTuple):
    """An optimizer."""

    beta1: float  # Adam's decay of the first moment, ...
    beta2: float  # ...of the second moment, ...
    eps: float  # ...and eps
    max_norm: float  # global norm that gradients are clipped to; 0 for no clipping
    decay: float  # share of the parameters that is added to their gradients; 0 for none
    decays_first: bool  # whether that is before clipping


class Optimizer(NamedTuple):
    """An optimizer and its state."""

    descent: Descent
    first: Weights  # Adam's m; empty arrays for SGD
    second: Weights  # Adam's v; empty arrays for SGD


class Change(NamedTuple):
    """Numbers of one optimizer step."""

    rate: float  # Adam's bias corrections included
    factor: float  # that gradients are multiplied by


@njit(**JIT)
def block_of(size, block, blocks):
    """Returns where a block begins and ends."""
    return size * block // blocks, size * (block + 1) // blocks


@njit(**JIT)
def _owned(shape, weights, block):
    """Returns the hidden units and the logits that belong to a block."""
    first, last = block_of(weights.w1.shape[0], block, shape.blocks)
    start, stop = block_of(shape.num_codebooks, block, shape.blocks)
    return slice(first, last), slice(start * shape.num_codewords, stop * shape.num_codewords)


@njit(**JIT)
def is_plain(descent):
    """Tells whether each weight's step depends on nothing but its own gradient."""
    return descent.max_norm == 0.0 and descent.decay == 0.0


@njit(**JIT)
def _move(weights, gradients, first, second, change, descent):
    """Makes a step on some weights in a row: Adam's, or SGD's if there are no moments."""
    kind = weights.dtype.type
    rate, factor = kind(change.rate), kind(change.factor)
    if first.size == 0:
        for i in range(weights.size):
            weights[i] -= rate * (factor * gradients[i])
        return
    new1, new2, eps = kind(1.0 - descent.beta1), kind(1.0 - descent.beta2), kind(descent.eps)
    for i in range(weights.size):
        gradient = factor * gradients[i]
        first[i] += new1 * (gradient - first[i])
        second[i] += new2 * (gradient * gradient - second[i])
        weights[i] -= rate * inverse(np.sqrt(second[i]) + eps) * first[i]


@njit(**JIT)
def _move_rows(rows, weights, gradients, first, second, change, descent):
    _move(
        weights[rows].reshape(-1), gradients[rows].reshape(-1), first[rows].reshape(-1),
        second[rows].reshape(-1), change, descent,
    )  # fmt: skip


@njit(**JIT)
def move_units(block, shape, weights, gradients, optimizer, change):
    """Makes a step on the weights of a block's hidden units."""
    w, g, m, v, descent = weights, gradients, optimizer.first, optimizer.second, optimizer.descent
    rows, _ = _owned(shape, weights, block)
    _move_rows(rows, w.w1, g.w1, m.w1, v.w1, change, descent)
    _move_rows(rows, w.b1, g.b1, m.b1, v.b1, change, descent)


@njit(**JIT)
def move_logits(block, shape, weights, gradients, optimizer, change):
    """Makes a step on the weights of a block's logits, and on its codewords."""
    w, g, m, v, descent = weights, gradients, optimizer.first, optimizer.second, optimizer.descent
    _, rows = _owned(shape, weights, block)
    _move_rows(rows, w.w2, g.w2, m.w2, v.w2, change, descent)
    _move_rows(rows, w.b2, g.b2, m.b2, v.b2, change, descent)
    _move_rows(rows, w.codebook, g.codebook, m.codebook, v.codebook, change, descent)


@njit(**JIT)
def _clipping_factor(thread, threads, barrier, passed, shape, gradients, norms, max_norm):
    """Returns what the gradients are to be multiplied by, and how many barriers were passed."""
    for block in range(thread, shape.blocks, threads):
        units, logits = _owned(shape, gradients, block)
        norms[block] = (
            _sum_of_squares(gradients.w1[units].reshape(-1))
            + _sum_of_squares(gradients.b1[units])
            + _sum_of_squares(gradients.w2[logits].reshape(-1))
            + _sum_of_squares(gradients.b2[logits])
            + _sum_of_squares(gradients.codebook[logits].reshape(-1))
        )
    passed = wait_for_all(barrier, passed, threads)
    total = 0.0
    for block in range(shape.blocks):
        total += norms[block]
    norm = np.sqrt(total)
    return (max_norm / norm if norm > max_norm else 1.0), passed


@njit(**SUM)
def _sum_of_squares(values):
    total = 0.0
    for i in range(values.size):
        total += np.float64(values[i]) * np.float64(values[i])
    return total


@njit(**JIT)
def _add_decay(part, weights, gradients, factor, decay):
    """Multiplies the gradients of some rows, and adds a share of the parameters to them."""
    parameters, gradients = weights[part].reshape(-1), gradients[part].reshape(-1)
    kind = parameters.dtype.type
    multiplier, share = kind(factor), kind(decay)
    for i in range(parameters.size):
        gradients[i] = multiplier * gradients[i] + share * parameters[i]


@njit(**JIT)
def _decay_blocks(thread, threads, shape, weights, gradients, factor, decay):
    """Does so for all rows of a thread's blocks."""
    w, g = weights, gradients
    for block in range(thread, shape.blocks, threads):
        units, logits = _owned(shape, weights, block)
        _add_decay(units, w.w1, g.w1, factor, decay)
        _add_decay(units, w.b1, g.b1, factor, decay)
        _add_decay(logits, w.w2, g.w2, factor, decay)
        _add_decay(logits, w.b2, g.b2, factor, decay)
        _add_decay(logits, w.codebook, g.codebook, factor, decay)


@njit(**JIT)
def descend(thread, threads, barrier, passed, shape, weights, gradients, optimizer, rate, norms):
    """Makes a step with decay and clipping, when all gradients are there.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        passed: Number of barriers that this thread has passed.
        shape: How the work is cut.
        weights: The parameters.
        gradients: Their gradients, to which decay is added.
        optimizer: The optimizer.
        rate: Its learning rate.
        norms: Scratch, float64 ``(blocks,)``.

    Returns:
        The number of barriers that this thread has passed.
    """
    descent = optimizer.descent
    factor = 1.0
    if descent.decay != 0.0 and descent.decays_first:
        _decay_blocks(thread, threads, shape, weights, gradients, 1.0, descent.decay)
    if descent.max_norm > 0.0:
        factor, passed = _clipping_factor(
            thread, threads, barrier, passed, shape, gradients, norms, descent.max_norm
        )
    if descent.decay != 0.0 and not descent.decays_first:
        _decay_blocks(thread, threads, shape, weights, gradients, factor, descent.decay)
        factor = 1.0
    change = Change(rate, factor)
    for block in range(thread, shape.blocks, threads):
        move_units(block, shape, weights, gradients, optimizer, change)
        move_logits(block, shape, weights, gradients, optimizer, change)
    return passed
