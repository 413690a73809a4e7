"""One training step over a team of threads, and what it is made of.

Every thread of a team runs the same function and takes its share of each phase; a barrier stands
between phases. The work is cut into blocks of hidden units and of groups, and the number of blocks
does not depend on the number of threads, so that neither does any result. A block belongs to the
same thread in every phase and step: only that thread touches the block's weights, their gradients
and moments, its probabilities and their gradients. What blocks share are the rows, the hidden
activations, and sums over all blocks (the reconstruction, and the gradient of the activations),
which are added up from a part for each block.

Rows of a batch are the columns of the hidden activations, so that a block is contiguous and the
softmax over a group works on many rows of the batch at once. A batch is worked through in tiles
that fit the cache.

Shapes: n rows in a tile, D columns, H hidden units, M groups of K codewords, L = M*K. Source of
the mathematics: ``nncompress/autoencoder/chain.py``, of which this is the fused form.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT, SUM, exp, log, tanh
from nncompress.cpu.intrinsics import wait_for_all
from nncompress.cpu.philox import draw_exponentials
from nncompress.cpu.product import product

TILE_ROWS = 512
_LOG_EPS = 1e-8


class Weights(NamedTuple):
    """The parameters, or as many gradients."""

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


class Memory(NamedTuple):
    """Flattened memory from which the buffers of a tile of any height are made."""

    h: np.ndarray
    p: np.ndarray
    q: np.ndarray
    y: np.ndarray
    dp: np.ndarray
    dh: np.ndarray
    certain: np.ndarray
    norms: np.ndarray
    x: np.ndarray
    xt: np.ndarray
    ht: np.ndarray
    dy: np.ndarray
    dyt: np.ndarray
    draws: np.ndarray
    bits: np.ndarray
    columns: np.ndarray
    squares: np.ndarray


class Shared(NamedTuple):
    """Memory that all threads see, for a tile of n rows."""

    h: np.ndarray  # (H, n), hidden activations
    p: np.ndarray  # (L, n), probabilities
    q: np.ndarray  # (L, n), derivative of the softmax's argument by the encoder's output
    y: np.ndarray  # (blocks, n, D), parts of the reconstruction
    dp: np.ndarray  # (L, n), gradient of the probabilities, then of the encoder's outputs
    dh: np.ndarray  # (blocks, H, n), parts of the gradient of the hidden activations
    certain: np.ndarray  # (M,), largest probabilities by group


class Private(NamedTuple):
    """Memory of one thread: what all of them need, each makes for itself."""

    x: np.ndarray  # (n, D), normalized rows
    xt: np.ndarray  # (D, n), the same, transposed
    ht: np.ndarray  # (n, H), hidden activations, transposed
    dy: np.ndarray  # (n, D), gradient of the reconstruction
    dyt: np.ndarray  # (D, n), the same, transposed
    draws: np.ndarray  # (4, n)
    bits: np.ndarray  # uint32 (4, n)
    columns: np.ndarray  # (2, n)
    squares: np.ndarray  # (n,), squared residuals by row


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
def tile_buffers(memory, shape, weights, thread, n):
    """Shapes the memory for a tile of ``n`` rows."""
    num_hidden, dim = weights.w1.shape
    num_units = weights.w2.shape[0]
    shared = Shared(
        memory.h[: num_hidden * n].reshape(num_hidden, n),
        memory.p[: num_units * n].reshape(num_units, n),
        memory.q[: num_units * n].reshape(num_units, n),
        memory.y[: shape.blocks * n * dim].reshape(shape.blocks, n, dim),
        memory.dp[: num_units * n].reshape(num_units, n),
        memory.dh[: shape.blocks * num_hidden * n].reshape(shape.blocks, num_hidden, n),
        memory.certain,
    )
    private = Private(
        memory.x[thread, : n * dim].reshape(n, dim),
        memory.xt[thread, : n * dim].reshape(dim, n),
        memory.ht[thread, : num_hidden * n].reshape(n, num_hidden),
        memory.dy[thread, : n * dim].reshape(n, dim),
        memory.dyt[thread, : n * dim].reshape(dim, n),
        memory.draws[thread, : 4 * n].reshape(4, n),
        memory.bits[thread, : 4 * n].reshape(4, n),
        memory.columns[thread, : 2 * n].reshape(2, n),
        memory.squares[thread, :n],
    )
    return shared, private


@njit(**JIT)
def _transpose(source, target):
    """Copies a matrix transposed, a few columns at a time so that lines of both stay in cache."""
    rows, columns = source.shape
    for first in range(0, columns, 16):
        for i in range(rows):
            for j in range(first, min(first + 16, columns)):
                target[j, i] = source[i, j]


@njit(**JIT)
def gather(x, xt, source, rows, centre, scale):
    """Normalizes rows into ``x`` and, transposed, into ``xt``."""
    kind = x.dtype.type
    for i in range(rows.size):
        row = rows[i]
        for j in range(x.shape[1]):
            x[i, j] = (kind(source[row, j]) - centre[j]) / scale
    _transpose(x, xt)


@njit(**JIT)
def hidden(weights, xt, h, start, stop):
    """Computes hidden units ``start`` to ``stop`` of rows."""
    product(weights.w1[start:stop], False, xt, h[start:stop], False)
    for unit in range(start, stop):
        row, bias = h[unit], weights.b1[unit]
        for i in range(row.size):
            row[i] = tanh(row[i] + bias)


@njit(**INLINE)
def _softmax_argument(v, bias, draw, inverse_tau):
    """Returns ``(logit + gumbel) / tau`` and its derivative by ``v``.

    The logit is log(t) for t = softplus(v + bias) + eps, and Gumbel noise is minus the logarithm
    of an Exponential(1) draw, so that their sum is one logarithm of a ratio.
    """
    kind = type(v)
    one = kind(1)
    v = v + bias
    small = exp(-abs(v))
    w = one + small
    softplus = max(v, kind(0)) + (log(w) + (small - (w - one)))
    t = softplus + kind(_LOG_EPS)
    sigmoid = (one if v > kind(0) else small) / w
    return log(t / draw) * inverse_tau, sigmoid / t * inverse_tau


@njit(**JIT)
def _probabilities(group, shape, weights, p, q, noise, first_row, tau, draws, bits, columns):
    """Turns a group's encoder outputs in ``p`` into probabilities, and fills ``q``.

    Returns the sum of the largest probabilities.
    """
    kind = p.dtype.type
    n, num_codewords = p.shape[1], shape.num_codewords
    inverse_tau = kind(1) / kind(tau)
    top, total = columns[0], columns[1]
    top[:] = -np.inf
    total[:] = 0
    first = group * num_codewords
    for k in range(0, num_codewords, 4):
        count = min(4, num_codewords - k)
        if noise.given.shape[0] > 0:
            for j in range(count):
                for i in range(n):
                    draws[j, i] = exp(-noise.given[first_row + i, group, k + j])
        else:
            column = group * ((num_codewords + 3) // 4) + k // 4
            draw_exponentials(draws, bits, first_row, column, noise.words)
        for j in range(count):
            unit = first + k + j
            p_row, q_row, draw, bias = p[unit], q[unit], draws[j], weights.b2[unit]
            for i in range(n):
                argument, derivative = _softmax_argument(p_row[i], bias, draw[i], inverse_tau)
                p_row[i] = argument
                q_row[i] = derivative
                top[i] = max(top[i], argument)
    for unit in range(first, first + num_codewords):
        p_row = p[unit]
        for i in range(n):
            p_row[i] = exp(p_row[i] - top[i])
            total[i] += p_row[i]
    # The largest term of each sum is exp(0).
    for i in range(n):
        total[i] = kind(1) / total[i]
    for unit in range(first, first + num_codewords):
        p_row = p[unit]
        for i in range(n):
            p_row[i] *= total[i]
    return _total(total)


@njit(**JIT)
def _residual(x, y, dy, dyt, squares, batch_size, row_weights):
    """Adds the parts of the reconstruction up.

    Leaves its gradient in ``dy`` and, transposed, in ``dyt``, and the sum of the squared residuals
    of row i in ``squares[i]``.
    """
    for i in range(x.shape[0]):
        row, original, first = dy[i], x[i], y[0, i]
        factor = x.dtype.type(row_weights[i] / batch_size)
        for j in range(row.size):
            row[j] = first[j] - original[j]
        for part in range(1, y.shape[0]):
            added = y[part, i]
            for j in range(row.size):
                row[j] += added[j]
        squares[i] = _total_squares(row)
        for j in range(row.size):
            row[j] *= factor
    _transpose(dy, dyt)


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
def _hidden_gradient(parts, activations):
    """Adds up a unit's gradient in the first part, through tanh, and returns its sum."""
    total, one = parts[0], activations.dtype.type(1)
    for part in range(1, parts.shape[0]):
        added = parts[part]
        for i in range(total.size):
            total[i] += added[i]
    for i in range(total.size):
        total[i] *= one - activations[i] * activations[i]
    return _total(total)


@njit(**JIT)
def block_of(size, block, blocks):
    """Returns where a block begins and ends."""
    return size * block // blocks, size * (block + 1) // blocks


@njit(**JIT)
def forward(
    thread, threads, barrier, passed, shape, weights, shared, private, source, rows, row_weights,
    first_row, batch_size, centre, scale, noise, tau,
):  # fmt: skip
    """Runs a tile's rows through the autoencoder, up to the gradient of the reconstruction.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        passed: Number of barriers that this thread has passed.
        shape: Sizes of the network, and how the work is cut.
        weights: The parameters.
        shared: Memory for exactly the tile's n rows. ``certain`` is added to.
        private: This thread's memory for them. ``squares`` is complete in every thread.
        source: ``(N, D)``, where rows are gathered from.
        rows: Indices into ``source``, ``(n,)``.
        row_weights: The rows' weights in the gradient, float64 ``(n,)``.
        first_row: Position in the batch of the tile's first row.
        batch_size: Rows of the whole batch.
        centre: The normalization's centre, ``(D,)``.
        scale: The normalization's scale, a number of the weights' type.
        noise: The Gumbel noise.
        tau: Temperature.

    Returns:
        The number of barriers that this thread has passed.
    """
    h, p, q, y = shared.h, shared.p, shared.q, shared.y
    gather(private.x, private.xt, source, rows, centre, scale)
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(weights.w1.shape[0], block, shape.blocks)
        if start < stop:
            hidden(weights, private.xt, h, start, stop)
    passed = wait_for_all(barrier, passed, threads)
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_codebooks, block, shape.blocks)
        if start == stop:
            y[block] = 0
            continue
        units = slice(start * shape.num_codewords, stop * shape.num_codewords)
        product(weights.w2[units], False, h, p[units], False)
        for group in range(start, stop):
            shared.certain[group] += _probabilities(
                group, shape, weights, p, q, noise, first_row, tau,
                private.draws, private.bits, private.columns,
            )  # fmt: skip
        product(p[units], True, weights.codebook[units], y[block], False)
    passed = wait_for_all(barrier, passed, threads)
    _residual(private.x, y, private.dy, private.dyt, private.squares, batch_size, row_weights)
    return passed


@njit(**JIT)
def backward(
    thread, threads, barrier, passed, shape, weights, gradients, shared, private, fresh
):  # fmt: skip
    """Computes the gradients of a tile that ``forward`` has just been through.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        passed: Number of barriers that this thread has passed.
        shape: Sizes of the network, and how the work is cut.
        weights: The parameters.
        gradients: Arrays of the parameters' shapes, overwritten if ``fresh``, added to otherwise.
        shared: The tile's shared memory, filled by ``forward``.
        private: This thread's memory for the tile, filled by ``forward``.
        fresh: True for the batch's first tile.

    Returns:
        The number of barriers that this thread has passed.
    """
    h, p, q, dp, dh = shared.h, shared.p, shared.q, shared.dp, shared.dh
    num_codewords = shape.num_codewords
    _transpose(h, private.ht)
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_codebooks, block, shape.blocks)
        if start == stop:
            dh[block] = 0
            continue
        units = slice(start * num_codewords, stop * num_codewords)
        product(p[units], False, private.dy, gradients.codebook[units], not fresh)
        product(weights.codebook[units], False, private.dyt, dp[units], False)
        for group in range(start, stop):
            _softmax_gradient(group, num_codewords, p, q, dp, private.columns)
        product(dp[units], False, private.ht, gradients.w2[units], not fresh)
        for unit in range(start * num_codewords, stop * num_codewords):
            gradients.b2[unit] = _total(dp[unit]) + (0 if fresh else gradients.b2[unit])
        product(weights.w2[units], True, dp[units], dh[block], False)
    passed = wait_for_all(barrier, passed, threads)
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(weights.w1.shape[0], block, shape.blocks)
        if start == stop:
            continue
        for unit in range(start, stop):
            total = _hidden_gradient(dh[:, unit], h[unit])
            gradients.b1[unit] = total + (0 if fresh else gradients.b1[unit])
        product(dh[0, start:stop], False, private.x, gradients.w1[start:stop], not fresh)
    return passed
