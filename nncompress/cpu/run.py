"""Tasks of a team of threads: training steps, gradients, a loss, or codes."""

from typing import NamedTuple

import numpy as np
from numba import njit

from nncompress.cpu.elementary import JIT, SUM
from nncompress.cpu.intrinsics import wait_for_all
from nncompress.cpu.product import product
from nncompress.cpu.step import (
    TILE_ROWS,
    Noise,
    backward,
    block_of,
    forward,
    gather,
    hidden,
    tile_buffers,
)

ENCODING_TILE = 256


class Plan(NamedTuple):
    """Numbers that change from step to step, one element a step."""

    iterations: np.ndarray  # int64, which training noise to draw
    rates: np.ndarray  # float64, Adam's bias corrections included
    taus: np.ndarray  # float64


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
def _owned(shape, weights, block):
    """Returns the hidden units and the logits that belong to a block."""
    first, last = block_of(weights.w1.shape[0], block, shape.blocks)
    start, stop = block_of(shape.num_codebooks, block, shape.blocks)
    return slice(first, last), slice(start * shape.num_codewords, stop * shape.num_codewords)


class Descent(NamedTuple):
    """An optimizer."""

    beta1: float  # Adam's decay of the first moment, ...
    beta2: float  # ...of the second moment, ...
    eps: float  # ...and eps
    max_norm: float  # global norm that gradients are clipped to; 0 for no clipping
    decay: float  # share of the parameters that is added to their gradients; 0 for none
    decays_first: bool  # whether that is before clipping


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


class _Step(NamedTuple):
    """Numbers of one optimizer step."""

    rate: float
    factor: float
    beta1: float
    beta2: float
    eps: float


@njit(**JIT)
def _descend(part, weights, gradients, first_moments, second_moments, step):
    """Makes an optimizer step on some rows: Adam's, or SGD's if there are no moments."""
    parameters, gradients = weights[part].reshape(-1), gradients[part].reshape(-1)
    kind = parameters.dtype.type
    rate, factor = kind(step.rate), kind(step.factor)
    if first_moments.size == 0:
        for i in range(parameters.size):
            parameters[i] -= rate * (factor * gradients[i])
        return
    first, second = first_moments[part].reshape(-1), second_moments[part].reshape(-1)
    new1, new2, eps = kind(1.0 - step.beta1), kind(1.0 - step.beta2), kind(step.eps)
    for i in range(parameters.size):
        gradient = factor * gradients[i]
        first[i] += new1 * (gradient - first[i])
        second[i] += new2 * (gradient * gradient - second[i])
        parameters[i] -= rate / (np.sqrt(second[i]) + eps) * first[i]


@njit(**JIT)
def _report(certain, squares, weighted_squares, batch_size, out, index):
    """Writes a batch's loss, maxp and weighted loss to row ``index`` of ``out``."""
    maxp = 0.0
    for i in range(certain.size):
        maxp += certain[i]
    out[index, 0] = 0.5 * squares / batch_size
    out[index, 1] = maxp / (batch_size * certain.size)
    out[index, 2] = 0.5 * weighted_squares / batch_size


@njit(**JIT)
def _sum_in_order(values):
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


@njit(**JIT)
def _weighted_sum_in_order(values, weights):
    total = 0.0
    for i in range(values.size):
        total += values[i] * weights[i]
    return total


@njit(**JIT)
def train(
    thread, threads, barrier, shape, memory, weights, gradients, first_moments,
    second_moments, source, rows, row_weights, centre, scale, seed_words, stream, plan,
    descent, nothing, out,
):  # fmt: skip
    """Makes as many optimizer steps as ``rows`` has batches.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: int64 ``(1,)``, 0.
        shape: Sizes.
        memory: Working memory.
        weights: The parameters.
        gradients: Overwritten.
        first_moments: Adam's m; empty arrays for SGD.
        second_moments: Adam's v; empty arrays for SGD.
        source: ``(N, D)``, where rows are gathered from.
        rows: Indices into ``source``, ``(steps, batch_size)``.
        row_weights: The weights of those rows in the loss, float64 ``(steps, batch_size)``.
        centre: ``(D,)``.
        scale: A number of the weights' type.
        seed_words: uint32 ``(2,)``: low and high half of the seed.
        stream: Stream of the noise.
        plan: Learning rates, temperatures and noise positions.
        descent: The optimizer.
        nothing: An empty ``(0, 0, 0)`` array of the weights' type.
        out: float64 ``(steps, 3)``: loss of the normalized rows, maxp, and the weighted loss.
    """
    passed = 0
    steps, batch_size = rows.shape
    words = np.empty(4, np.uint32)
    words[0], words[1] = seed_words[0], seed_words[1]
    for step in range(steps):
        words[2] = plan.iterations[step] & 0xFFFFFFFF
        words[3] = stream | (plan.iterations[step] >> 32) << 8
        noise = Noise(nothing, words)
        squares, weighted_squares = 0.0, 0.0
        if thread == 0:
            memory.certain[:] = 0
        for first in range(0, batch_size, TILE_ROWS):
            if batch_size > TILE_ROWS:
                # Tiles of other heights lie elsewhere in memory: the last one must be done with.
                passed = wait_for_all(barrier, passed, threads)
            tile = rows[step, first : first + TILE_ROWS]
            tile_weights = row_weights[step, first : first + TILE_ROWS]
            shared, private = tile_buffers(memory, shape, weights, thread, tile.size)
            passed = forward(
                thread, threads, barrier, passed, shape, weights, shared, private,
                source, tile, tile_weights, first, batch_size, centre, scale, noise,
                plan.taus[step],
            )  # fmt: skip
            if thread == 0:
                squares += _sum_in_order(private.squares)
                weighted_squares += _weighted_sum_in_order(private.squares, tile_weights)
            passed = backward(
                thread, threads, barrier, passed, shape, weights, gradients, shared, private,
                first == 0,
            )  # fmt: skip
        if thread == 0:
            _report(memory.certain, squares, weighted_squares, batch_size, out, step)
        factor = 1.0
        if descent.decay != 0.0 and descent.decays_first:
            _decay_blocks(thread, threads, shape, weights, gradients, 1.0, descent.decay)
        if descent.max_norm > 0.0:
            factor, passed = _clipping_factor(
                thread, threads, barrier, passed, shape, gradients, memory.norms, descent.max_norm
            )
        if descent.decay != 0.0 and not descent.decays_first:
            _decay_blocks(thread, threads, shape, weights, gradients, factor, descent.decay)
            factor = 1.0
        change = _Step(plan.rates[step], factor, descent.beta1, descent.beta2, descent.eps)
        w, g, m, v = weights, gradients, first_moments, second_moments
        for block in range(thread, shape.blocks, threads):
            units, logits = _owned(shape, weights, block)
            _descend(units, w.w1, g.w1, m.w1, v.w1, change)
            _descend(units, w.b1, g.b1, m.b1, v.b1, change)
            _descend(logits, w.w2, g.w2, m.w2, v.w2, change)
            _descend(logits, w.b2, g.b2, m.b2, v.b2, change)
            _descend(logits, w.codebook, g.codebook, m.codebook, v.codebook, change)


@njit(**JIT)
def differentiate(
    thread, threads, barrier, shape, memory, weights, gradients, wanted, x, rows, row_weights,
    centre, scale, noise, tau, out,
):  # fmt: skip
    """Computes loss and maxp of one batch, and its gradients.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: int64 ``(1,)``, 0.
        shape: Sizes.
        memory: Working memory.
        weights: The parameters.
        gradients: Overwritten if ``wanted``.
        wanted: Whether to compute gradients.
        x: ``(N, D)``, where rows are gathered from.
        rows: Indices into ``x``, ``(batch_size,)``.
        row_weights: The weights of those rows in the loss, float64 ``(batch_size,)``.
        centre: ``(D,)``.
        scale: A number of the weights' type.
        noise: The Gumbel noise of the batch.
        tau: Temperature.
        out: float64 ``(1, 3)``: loss of the normalized rows, maxp, and the weighted loss.
    """
    passed = 0
    squares, weighted_squares = 0.0, 0.0
    if thread == 0:
        memory.certain[:] = 0
    for first in range(0, rows.size, TILE_ROWS):
        if rows.size > TILE_ROWS:  # as in ``train``
            passed = wait_for_all(barrier, passed, threads)
        tile = rows[first : first + TILE_ROWS]
        tile_weights = row_weights[first : first + TILE_ROWS]
        shared, private = tile_buffers(memory, shape, weights, thread, tile.size)
        passed = forward(
            thread, threads, barrier, passed, shape, weights, shared, private,
            x, tile, tile_weights, first, rows.size, centre, scale, noise, tau,
        )  # fmt: skip
        if thread == 0:
            squares += _sum_in_order(private.squares)
            weighted_squares += _weighted_sum_in_order(private.squares, tile_weights)
        if wanted:
            passed = backward(
                thread, threads, barrier, passed, shape, weights, gradients, shared, private,
                first == 0,
            )  # fmt: skip
    if thread == 0:
        _report(memory.certain, squares, weighted_squares, rows.size, out, 0)


@njit(**JIT)
def _choose(outputs, bias, num_codewords, best, chosen, codes):
    """Writes the code of the largest output of each group."""
    n = outputs.shape[1]
    for group in range(codes.shape[1]):
        first = group * num_codewords
        best[:] = -np.inf
        chosen[:] = 0
        for k in range(num_codewords):
            row, shift = outputs[first + k], bias[first + k]
            for i in range(n):
                value = row[i] + shift
                larger = value > best[i]
                best[i] = value if larger else best[i]
                chosen[i] = k if larger else chosen[i]
        for i in range(n):
            codes[i, group] = chosen[i]


@njit(**JIT)
def encode(thread, threads, barrier, shape, weights, source, centre, scale, codes):
    """Encodes rows without noise, each tile by one thread.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: tiles do not depend on each other.
        shape: Sizes.
        weights: The parameters.
        source: ``(n, D)``.
        centre: ``(D,)``.
        scale: A number of the weights' type.
        codes: uint8 or uint16 ``(n, M)``, overwritten.
    """
    num_hidden, dim = weights.w1.shape
    num_units = weights.w2.shape[0]
    height = min(ENCODING_TILE, source.shape[0])
    x_memory = np.empty(height * dim, weights.w1.dtype)
    xt_memory = np.empty(height * dim, weights.w1.dtype)
    h_memory = np.empty(num_hidden * height, weights.w1.dtype)
    z_memory = np.empty(num_units * height, weights.w1.dtype)
    best_memory = np.empty(height, weights.w1.dtype)
    chosen_memory = np.empty(height, np.int32)
    for first in range(thread * height, source.shape[0], threads * height):
        n = min(height, source.shape[0] - first)
        x = x_memory[: n * dim].reshape(n, dim)
        xt = xt_memory[: n * dim].reshape(dim, n)
        h = h_memory[: num_hidden * n].reshape(num_hidden, n)
        z = z_memory[: num_units * n].reshape(num_units, n)
        gather(x, xt, source, np.arange(first, first + n), centre, scale)
        hidden(weights, xt, h, 0, num_hidden)
        product(weights.w2, False, h, z, False)
        _choose(
            z, weights.b2, shape.num_codewords, best_memory[:n], chosen_memory[:n],
            codes[first : first + n],
        )  # fmt: skip
