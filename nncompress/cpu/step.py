"""One training step by a team of threads, and its parts.

Every thread of a team runs the same function and does its share of each phase, with a barrier
between phases. The work is divided into blocks of hidden units and of groups. Their number does
not depend on the number of threads, and so neither does any result. A block belongs to the same
thread in every phase and step: only that thread touches the block's weights, their gradients and
moments, its probabilities and their gradients. Blocks share the rows, the hidden activations, and
sums over all blocks (the reconstruction, and the gradient of the activations), which are added up
from one part for each block.

Rows of a batch are the columns of the hidden activations, so that a block is contiguous and the
softmax over a group works on many rows of the batch at once. A batch is processed in tiles that
fit in the cache.

Shapes: n rows in a tile, D columns, H hidden units, M groups of K codewords, L = M*K. Source of
the mathematics: ``nncompress/autoencoder/chain.py``, of which this is the fused form.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from nncompress.cpu.barrier import wait_for_all
from nncompress.cpu.descent import block_of, move_logits, move_units
from nncompress.cpu.elementary import JIT, PART, SUM, exp, inverse, log, log_of_one_and, tanh
from nncompress.cpu.intrinsics import larger
from nncompress.cpu.panels import pack, pack_transposed
from nncompress.cpu.philox import draw_exponentials
from nncompress.cpu.product import product

TILE_ROWS = 128
_LOG_EPS = 1e-8
# Codewords of a group to work on together, a multiple of four.
UNITS_AT_A_TIME = 16


class Buffers(NamedTuple):
    """Memory for processing a tile of n rows."""

    # Shared by all threads:
    h: np.ndarray  # (H, n), hidden activations
    p: np.ndarray  # (L, n), probabilities
    q: np.ndarray  # (L, n), derivative of the softmax's argument by the encoder's output
    y: np.ndarray  # (blocks, n, D), parts of the reconstruction
    dp: np.ndarray  # (L, n), gradient of the probabilities, then of the encoder's outputs
    dh: np.ndarray  # (blocks, H, n), parts of the gradient of the hidden activations
    certain: np.ndarray  # (M,), largest probabilities by group
    # Computed by each thread for itself:
    x: np.ndarray  # (threads, n, D), normalized rows
    dy: np.ndarray  # (threads, n, D), gradient of the reconstruction
    packed: np.ndarray  # (threads, 4, .), memory for matrices on the right of products
    draws: np.ndarray  # (threads, UNITS_AT_A_TIME, n)
    bits: np.ndarray  # uint32 (threads, UNITS_AT_A_TIME, n)
    columns: np.ndarray  # (threads, 2, n)
    squares: np.ndarray  # (threads, n), squared residuals by row


class Normalization(NamedTuple):
    """The map of rows to the units that the network works in."""

    centre: np.ndarray  # (D,)
    scale: float  # of the weights' type


class Tile(NamedTuple):
    """Rows of a batch that are processed together."""

    source: np.ndarray  # (N, D), from which rows are gathered
    rows: np.ndarray  # (n,), indices into it
    weights: np.ndarray  # float64 (n,), the rows' weights in the loss
    first: int  # position of the first of them in the batch
    batch_size: int


class Noise(NamedTuple):
    """Source of the Gumbel noise: an array, or the generator."""

    given: np.ndarray  # (rows, M, K), or without rows
    words: np.ndarray  # uint32 (4,): low and high half of the seed, then the counter's last words


@njit(**SUM)
def _total(values):
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i]
    return total


@njit(**SUM)
def _total_squares(values):
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i] * values[i]
    return total


@njit(**JIT)
def gather(x, source, rows, normalization):
    """Normalizes rows into ``x``."""
    kind, centre, scale = x.dtype.type, normalization.centre, normalization.scale
    for i in range(rows.size):
        row, target = source[rows[i]], x[i]
        for j in range(target.size):
            target[j] = (kind(row[j]) - centre[j]) / scale


@njit(**PART)
def hidden(weights, xt, h, start, stop):
    """Computes hidden units ``start`` to ``stop`` of rows, given as their packed transpose."""
    no = np.bool_(False)
    product(weights.w1[start:stop], no, xt, h[start:stop], no)
    for unit in range(start, stop):
        row, bias = h[unit], weights.b1[unit]
        for i in range(row.size):
            row[i] = tanh(row[i] + bias)


@njit(**JIT)
def _softplus(v, derivative, inverse_tau):
    """Replaces ``v`` by ``t = softplus(v) + eps``.

    Leaves the derivative of ``log(t) / tau`` by v in ``derivative``. There are two loops because
    the shorter a loop is, the more of its iterations a processor works on at the same time.
    """
    kind = v.dtype.type
    one = kind(1)
    for i in range(v.size):
        derivative[i] = exp(-abs(v[i]))
    for i in range(v.size):
        small = derivative[i]
        t = larger(v[i], kind(0)) + log_of_one_and(small) + kind(_LOG_EPS)
        sigmoid_times_w = one if v[i] > kind(0) else small
        derivative[i] = sigmoid_times_w * inverse((one + small) * t) * inverse_tau
        v[i] = t


@njit(**PART)
def _draw(out, bits, noise, first_row, group, first, num_codewords):
    """Draws an Exponential(1) number for each row and some codewords of a group."""
    if noise.given.shape[0] == 0:
        column = group * ((num_codewords + 3) // 4) + first // 4
        draw_exponentials(out, bits, first_row, column, noise.words)
        return
    for k in range(min(out.shape[0], num_codewords - first)):
        row = out[k]
        for i in range(row.size):
            row[i] = exp(-noise.given[first_row + i, group, first + k])


@njit(**JIT)
def _probabilities(group, shape, b2, p, q, noise, first_row, tau, draws, bits, columns):
    """Turns a group's encoder outputs in ``p`` into probabilities, and fills ``q``.

    An argument of the softmax is ``(logit + gumbel) / tau``. The logit is the logarithm of t, and
    Gumbel noise is minus the logarithm of an Exponential(1) draw, so that their sum is one
    logarithm of a ratio. Returns the sum of the largest probabilities.
    """
    kind = p.dtype.type
    n, num_codewords = p.shape[1], shape.num_codewords
    inverse_tau = kind(1) / kind(tau)
    top, total = columns[0], columns[1]
    top[:] = -np.inf
    total[:] = 0
    begin = group * num_codewords
    for k in range(0, num_codewords, UNITS_AT_A_TIME):
        count = min(UNITS_AT_A_TIME, num_codewords - k)
        drawn = (count + 3) // 4 * 4
        _draw(draws[:drawn], bits[:drawn], noise, first_row, group, k, num_codewords)
        units = slice(begin + k, begin + k + count)
        for unit in range(units.start, units.stop):
            row, bias = p[unit], b2[unit]
            for i in range(n):
                row[i] += bias
        arguments, draw = p[units].reshape(-1), draws.reshape(-1)
        _softplus(arguments, q[units].reshape(-1), inverse_tau)
        for i in range(arguments.size):
            arguments[i] = log(arguments[i] * inverse(draw[i])) * inverse_tau
        for unit in range(units.start, units.stop):
            row = p[unit]
            for i in range(n):
                top[i] = larger(top[i], row[i])
    for unit in range(begin, begin + num_codewords):
        p_row = p[unit]
        for i in range(n):
            p_row[i] = exp(p_row[i] - top[i])
            total[i] += p_row[i]
    # The largest term of each sum is exp(0).
    for i in range(n):
        total[i] = kind(1) / total[i]
    for unit in range(begin, begin + num_codewords):
        p_row = p[unit]
        for i in range(n):
            p_row[i] *= total[i]
    return _total(total)


@njit(**JIT)
def _residual(x, y, blocks, dy, squares, batch_size, row_weights):
    """Adds up the parts of the reconstruction.

    Leaves its gradient in ``dy``, and the sum of the squared residuals of row i in ``squares[i]``.
    """
    for i in range(x.shape[0]):
        row, original, first = dy[i], x[i], y[0, i]
        factor = x.dtype.type(row_weights[i] / batch_size)
        for j in range(row.size):
            row[j] = first[j] - original[j]
        for part in range(1, blocks):
            added = y[part, i]
            for j in range(row.size):
                row[j] += added[j]
        squares[i] = _total_squares(row)
        for j in range(row.size):
            row[j] *= factor


@njit(**JIT)
def _softmax_gradient(group, num_codewords, p, q, dp, columns):
    """Turns the gradient of a group's probabilities into that of the encoder's outputs."""
    n = p.shape[1]
    mean = columns[0]
    mean[:] = 0
    first = group * num_codewords
    for unit in range(first, first + num_codewords):
        p_row, d_row = p[unit], dp[unit]
        for i in range(n):
            mean[i] += p_row[i] * d_row[i]
    for unit in range(first, first + num_codewords):
        p_row, q_row, d_row = p[unit], q[unit], dp[unit]
        for i in range(n):
            d_row[i] = (d_row[i] - mean[i]) * p_row[i] * q_row[i]


@njit(**JIT)
def _hidden_gradient(parts, blocks, unit, activations):
    """Adds up a unit's gradient in the first part, back through tanh, and returns its sum."""
    total, one = parts[0, unit], activations.dtype.type(1)
    for part in range(1, blocks):
        added = parts[part, unit]
        for i in range(total.size):
            total[i] += added[i]
    for i in range(total.size):
        total[i] *= one - activations[i] * activations[i]
    return _total(total)


@njit(**PART)
def forward(
    thread, threads, barrier, passed, shape, weights, buffers, tile, normalization, noise, tau
):  # fmt: skip
    """Runs a tile's rows through the autoencoder, up to the gradient of the reconstruction.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        passed: Number of barriers that this thread has passed.
        shape: Sizes of the network, and the division of the work.
        weights: The parameters.
        buffers: Memory for exactly the tile's n rows. ``certain`` is added to, and ``squares`` is
            complete in every thread.
        tile: The rows.
        normalization: Their normalization.
        noise: The Gumbel noise.
        tau: Temperature.

    Returns:
        The number of barriers that this thread has passed.
    """
    no, yes = np.bool_(False), np.bool_(True)  # ``product`` would be compiled for each literal
    h, p, q, y = buffers.h, buffers.p, buffers.q, buffers.y
    x, packed = buffers.x[thread], buffers.packed[thread]
    gather(x, tile.source, tile.rows, normalization)
    pack_transposed(x, packed[0])
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_hidden, block, shape.blocks)
        if start < stop:
            hidden(weights, packed[0], h, start, stop)
    passed = wait_for_all(barrier, passed, threads)
    pack(h, packed[0])
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_codebooks, block, shape.blocks)
        if start == stop:
            y[block] = 0
            continue
        units = slice(start * shape.num_codewords, stop * shape.num_codewords)
        product(weights.w2[units], no, packed[0], p[units], no)
        for group in range(start, stop):
            buffers.certain[group] += _probabilities(
                group, shape, weights.b2, p, q, noise, tile.first, tau, buffers.draws[thread],
                buffers.bits[thread], buffers.columns[thread],
            )  # fmt: skip
        pack(weights.codebook[units], packed[1])
        product(p[units], yes, packed[1], y[block], no)
    passed = wait_for_all(barrier, passed, threads)
    _residual(
        x,
        y,
        shape.blocks,
        buffers.dy[thread],
        buffers.squares[thread],
        tile.batch_size,
        tile.weights,
    )
    return passed


@njit(**PART)
def backward(
    thread, threads, barrier, passed, shape, weights, gradients, buffers, fresh, at_once,
    optimizer, rate,
):  # fmt: skip
    """Computes the gradients of a tile that ``forward`` has just processed.

    If a step can follow at once, each block makes its own while its gradients are in the nearest
    cache.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        passed: Number of barriers that this thread has passed.
        shape: Sizes of the network, and the division of the work.
        weights: The parameters.
        gradients: Arrays of the parameters' shapes, overwritten if ``fresh``, added to otherwise.
        buffers: The tile's memory, filled by ``forward``.
        fresh: True for the batch's first tile.
        at_once: True to make a step.
        optimizer: The optimizer of that step.
        rate: The learning rate of that step.

    Returns:
        The number of barriers that this thread has passed.
    """
    no, yes = np.bool_(False), np.bool_(True)
    h, p, q, dp, dh = buffers.h, buffers.p, buffers.q, buffers.dp, buffers.dh
    num_codewords = shape.num_codewords
    packed = buffers.packed[thread]
    pack(buffers.dy[thread], packed[0])
    pack_transposed(buffers.dy[thread], packed[1])
    pack_transposed(h, packed[2])
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_codebooks, block, shape.blocks)
        if start == stop:
            dh[block] = 0
            continue
        units = slice(start * num_codewords, stop * num_codewords)
        product(p[units], no, packed[0], gradients.codebook[units], not fresh)
        product(weights.codebook[units], no, packed[1], dp[units], no)
        for group in range(start, stop):
            _softmax_gradient(group, num_codewords, p, q, dp, buffers.columns[thread])
        product(dp[units], no, packed[2], gradients.w2[units], not fresh)
        for unit in range(start * num_codewords, stop * num_codewords):
            gradients.b2[unit] = _total(dp[unit]) + (0 if fresh else gradients.b2[unit])
        pack(dp[units], packed[3])
        product(weights.w2[units], yes, packed[3], dh[block], no)
        if at_once:
            move_logits(block, shape, optimizer, (rate, 1.0))
    passed = wait_for_all(barrier, passed, threads)
    pack(buffers.x[thread], packed[0])
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_hidden, block, shape.blocks)
        if start == stop:
            continue
        for unit in range(start, stop):
            total = _hidden_gradient(dh, shape.blocks, unit, h[unit])
            gradients.b1[unit] = total + (0 if fresh else gradients.b1[unit])
        product(dh[0, start:stop], no, packed[0], gradients.w1[start:stop], not fresh)
        if at_once:
            move_units(block, shape, optimizer, (rate, 1.0))
    return passed
