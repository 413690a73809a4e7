"""The work of a team of threads on rows: training steps, gradients, losses, or codes."""

from typing import NamedTuple

import numpy as np
from numba import njit

from nncompress.cpu.barrier import wait_for_all
from nncompress.cpu.elementary import JIT, PART
from nncompress.cpu.intrinsics import choose
from nncompress.cpu.panels import pack, pack_transposed, panel_numbers
from nncompress.cpu.product import product
from nncompress.cpu.step import (
    TILE_ROWS,
    Noise,
    Tile,
    backward,
    forward,
    gather,
    hidden,
)

ENCODING_TILE = 256


# The tasks of ``train``.
LOSS, GRADIENTS, STEPS = 0, 1, 2


class Plan(NamedTuple):
    """Numbers that change from batch to batch, one element for each batch."""

    positions: np.ndarray  # int64, the position of the noise to draw
    rates: np.ndarray  # float64, Adam's bias corrections included
    taus: np.ndarray  # float64


class Batches(NamedTuple):
    """Rows, one batch after the other."""

    source: np.ndarray  # (N, D), from which rows are gathered
    rows: np.ndarray  # (batches, batch_size), indices into it
    weights: np.ndarray  # float64 (batches, batch_size), the rows' weights in the loss
    # If these are parts of batches, and other processes have the rest:
    first: int  # position in its batch of the first row of each part
    whole: int  # rows of a whole batch


class Draws(NamedTuple):
    """The source of the Gumbel noise of all batches."""

    given: np.ndarray  # (rows, M, K), or without rows
    seed_words: np.ndarray  # uint32 (2,): low and high half of the seed
    stream: int  # one of ``random.noise.Stream``


@njit(**PART)
def _report(certain, squares, weighted_squares, batch_size, out, index):
    """Writes a batch's loss, maxp and weighted loss to row ``index`` of ``out``."""
    maxp = 0.0
    for i in range(certain.size):
        maxp += certain[i]
    out[index, 0] = 0.5 * squares / batch_size
    out[index, 1] = maxp / (batch_size * certain.size)
    out[index, 2] = 0.5 * weighted_squares / batch_size


@njit(**PART)
def _sum_in_order(values):
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


@njit(**PART)
def _weighted_sum_in_order(values, weights):
    total = 0.0
    for i in range(values.size):
        total += values[i] * weights[i]
    return total


@njit(**JIT)
def train(
    thread, threads, barrier, task, shape, buffers, rest, weights, gradients, optimizer, batches,
    normalization, draws, plan, out,
):  # fmt: skip
    """Goes through batches to compute losses or gradients, or to make a step after each.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        task: ``LOSS``, ``GRADIENTS`` or ``STEPS``.
        shape: Sizes.
        buffers: Working memory for a tile.
        rest: The same, for a batch's last tile, which may have fewer rows.
        weights: The parameters.
        gradients: Overwritten unless the task is ``LOSS``; if batches are parts, only the part's
            share.
        optimizer: The optimizer of ``STEPS``.
        batches: The rows.
        normalization: Their normalization.
        draws: The noise.
        plan: Learning rates, temperatures and noise positions.
        out: float64 ``(batches, 3)``: the loss of the normalized rows, maxp, and the weighted
            loss, or a part's share of these.
    """
    passed = np.int64(0)
    steps, batch_size = batches.rows.shape
    words = np.empty(4, np.uint32)
    words[0], words[1] = draws.seed_words[0], draws.seed_words[1]
    noise = Noise(draws.given, words)
    for step in range(steps):
        words[2] = plan.positions[step] & 0xFFFFFFFF
        words[3] = draws.stream | (plan.positions[step] >> 32) << 8
        squares, weighted_squares = 0.0, 0.0
        if thread == 0:
            buffers.certain[:] = 0
        for first in range(0, batch_size, TILE_ROWS):
            if batch_size > TILE_ROWS:
                # Tiles share their memory, so the previous one must be finished.
                passed = wait_for_all(barrier, passed, threads)
            end = min(first + TILE_ROWS, batch_size)
            tile = Tile(
                batches.source, batches.rows[step, first:end], batches.weights[step, first:end],
                batches.first + first, batches.whole,
            )  # fmt: skip
            own = buffers if end - first == buffers.h.shape[1] else rest
            passed = forward(
                thread, threads, barrier, passed, shape, weights, own, tile, normalization, noise,
                plan.taus[step],
            )  # fmt: skip
            if thread == 0:
                squares += _sum_in_order(own.squares[0])
                weighted_squares += _weighted_sum_in_order(own.squares[0], tile.weights)
            if task != LOSS:
                passed = backward(
                    thread, threads, barrier, passed, shape, weights, gradients, own, first == 0,
                    task == STEPS and end == batch_size, optimizer, plan.rates[step],
                )  # fmt: skip
        if thread == 0:
            _report(buffers.certain, squares, weighted_squares, batches.whole, out, step)


@njit(**PART)
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
                best[i] = choose(larger, value, best[i])
                chosen[i] = choose(larger, np.int32(k), chosen[i])
        for i in range(n):
            codes[i, group] = chosen[i]


@njit(**JIT)
def encode(thread, threads, barrier, shape, weights, source, normalization, codes):
    """Encodes rows without noise, each tile by one thread.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: tiles do not depend on each other.
        shape: Sizes.
        weights: The parameters.
        source: ``(n, D)``.
        normalization: The rows' normalization.
        codes: uint8 or uint16 ``(n, M)``, overwritten.
    """
    num_hidden, dim = weights.w1.shape
    height = min(ENCODING_TILE, source.shape[0])
    kind, size = weights.w1.dtype, weights.w1.itemsize
    packed = np.empty(panel_numbers(max(dim, num_hidden), height, size), kind)
    x, h = np.empty((height, dim), kind), np.empty((num_hidden, height), kind)
    z = np.empty((weights.w2.shape[0], height), kind)
    best, chosen, rows = np.empty(height, kind), np.empty(height, np.int32), np.arange(height)
    for first in range(thread * height, source.shape[0], threads * height):
        n = min(height, source.shape[0] - first)
        if n < height:
            x, h = np.empty((n, dim), kind), np.empty((num_hidden, n), kind)
            z = np.empty((weights.w2.shape[0], n), kind)
        gather(x, source[first : first + n], rows[:n], normalization)
        pack_transposed(x, packed)
        hidden(weights, packed, h, 0, num_hidden)
        pack(h, packed)
        product(weights.w2, np.bool_(False), packed, z, np.bool_(False))
        _choose(z, weights.b2, shape.num_codewords, best[:n], chosen[:n], codes[first : first + n])
