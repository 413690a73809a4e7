"""Optimizer steps on the weights of blocks: Adam or SGD, with decay and clipping."""

from typing import NamedTuple

import numpy as np
from numba import njit

from nncompress.cpu.barrier import wait_for_all
from nncompress.cpu.elementary import JIT, PART, SUM, inverse


class Weights(NamedTuple):
    """The parameters, their gradients or their moments; sometimes flattened to one dimension."""

    w1: np.ndarray  # (H, D)
    b1: np.ndarray  # (H,)
    w2: np.ndarray  # (L, H)
    b2: np.ndarray  # (L,)
    codebook: np.ndarray  # (L, D)


class Shape(NamedTuple):
    """Sizes of the network, and the division of the work."""

    dim: int  # D
    num_hidden: int  # H
    num_codebooks: int  # M
    num_codewords: int  # K
    blocks: int


class Optimizer(NamedTuple):
    """An optimizer and the arrays that it works on, all flattened to one dimension."""

    weights: Weights
    gradients: Weights
    first: Weights  # Adam's m; empty arrays for SGD
    second: Weights  # Adam's v; empty arrays for SGD
    beta1: float  # Adam's decay of the first moment, ...
    beta2: float  # ...of the second moment, ...
    eps: float  # ...and eps


class Hooks(NamedTuple):
    """Changes to gradients before a step."""

    max_norm: float  # global norm to which they are clipped; 0 for no clipping
    decay: float  # share of the parameters that is added; 0 for none
    decays_first: bool  # whether it is added before clipping


@njit(**PART)
def block_of(size, block, blocks):
    """Returns the beginning and the end of a block."""
    return size * block // blocks, size * (block + 1) // blocks


@njit(**JIT)
def _move(weights, gradients, first, second, begin, end, optimizer, change):
    """Makes a step on some weights: Adam's, or SGD's if there are no moments.

    Args:
        weights: The weights.
        gradients: Their gradients.
        first: Adam's m, or nothing.
        second: Adam's v, or nothing.
        begin: Index of the first weight.
        end: Index after the last weight.
        optimizer: beta1, beta2 and eps.
        change: The learning rate, and the factor of the gradients.
    """
    kind = weights.dtype.type
    rate, factor = kind(change[0]), kind(change[1])
    w, g = weights[begin:end], gradients[begin:end]
    if first.size == 0:
        for i in range(w.size):
            w[i] -= rate * (factor * g[i])
        return
    new1, new2, eps = kind(1.0 - optimizer[0]), kind(1.0 - optimizer[1]), kind(optimizer[2])
    m, v = first[begin:end], second[begin:end]
    for i in range(w.size):
        gradient = factor * g[i]
        m[i] += new1 * (gradient - m[i])
        v[i] += new2 * (gradient * gradient - v[i])
        w[i] -= rate * inverse(np.sqrt(v[i]) + eps) * m[i]


@njit(**PART)
def move_units(block, shape, optimizer, change):
    """Makes a step on the weights of a block's hidden units."""
    w, g, m, v = optimizer.weights, optimizer.gradients, optimizer.first, optimizer.second
    numbers = optimizer.beta1, optimizer.beta2, optimizer.eps
    start, stop = block_of(shape.num_hidden, block, shape.blocks)
    dim = shape.dim
    _move(w.w1, g.w1, m.w1, v.w1, start * dim, stop * dim, numbers, change)
    _move(w.b1, g.b1, m.b1, v.b1, start, stop, numbers, change)


@njit(**PART)
def move_logits(block, shape, optimizer, change):
    """Makes a step on the weights of a block's logits, and on its codewords."""
    w, g, m, v = optimizer.weights, optimizer.gradients, optimizer.first, optimizer.second
    numbers = optimizer.beta1, optimizer.beta2, optimizer.eps
    first, last = block_of(shape.num_codebooks, block, shape.blocks)
    start, stop = first * shape.num_codewords, last * shape.num_codewords
    wide, dim = shape.num_hidden, shape.dim
    _move(w.w2, g.w2, m.w2, v.w2, start * wide, stop * wide, numbers, change)
    _move(w.b2, g.b2, m.b2, v.b2, start, stop, numbers, change)
    _move(w.codebook, g.codebook, m.codebook, v.codebook, start * dim, stop * dim, numbers, change)


@njit(**SUM)
def _sum_of_squares(values):
    total = 0.0
    for i in range(values.size):
        total += np.float64(values[i]) * np.float64(values[i])
    return total


@njit(**JIT)
def _norm(gradients):
    """Returns the norm of all gradients together."""
    return np.sqrt(
        _sum_of_squares(gradients.w1)
        + _sum_of_squares(gradients.b1)
        + _sum_of_squares(gradients.w2)
        + _sum_of_squares(gradients.b2)
        + _sum_of_squares(gradients.codebook)
    )


@njit(**JIT)
def _add_decay(weights, gradients, factor, decay):
    """Multiplies gradients, and adds a share of the parameters to them."""
    kind = weights.dtype.type
    multiplier, share = kind(factor), kind(decay)
    for i in range(weights.size):
        gradients[i] = multiplier * gradients[i] + share * weights[i]


@njit(**JIT)
def _add_decays(weights, gradients, factor, decay):
    w, g = weights, gradients
    _add_decay(w.w1, g.w1, factor, decay)
    _add_decay(w.b1, g.b1, factor, decay)
    _add_decay(w.w2, g.w2, factor, decay)
    _add_decay(w.b2, g.b2, factor, decay)
    _add_decay(w.codebook, g.codebook, factor, decay)


@njit(**JIT)
def descend(thread, threads, barrier, shape, optimizer, hooks, rate):
    """Makes a step with decay and clipping, once all gradients are complete.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        shape: The division of the work.
        optimizer: The optimizer, weights and gradients; decay is added to these.
        hooks: Decay and clipping.
        rate: Learning rate, Adam's bias corrections included.
    """
    factor = 1.0
    if thread == 0 and hooks.decay != 0.0 and hooks.decays_first:
        _add_decays(optimizer.weights, optimizer.gradients, 1.0, hooks.decay)
    passed = wait_for_all(barrier, 0, threads)
    if hooks.max_norm > 0.0:
        norm = _norm(optimizer.gradients)
        factor = hooks.max_norm / norm if norm > hooks.max_norm else 1.0
    passed = wait_for_all(barrier, passed, threads)
    if hooks.decay != 0.0 and not hooks.decays_first:
        if thread == 0:
            _add_decays(optimizer.weights, optimizer.gradients, factor, hooks.decay)
        factor = 1.0
    passed = wait_for_all(barrier, passed, threads)
    for block in range(thread, shape.blocks, threads):
        move_units(block, shape, optimizer, (rate, factor))
        move_logits(block, shape, optimizer, (rate, factor))
