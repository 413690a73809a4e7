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

from nncompress.autoencoder.kernels.elementary import INLINE, JIT, exp, log, tanh
from nncompress.autoencoder.kernels.intrinsics import product, wait_for_all
from nncompress.autoencoder.kernels.philox import draw_exponentials

TILE_ROWS = 512
_SUM = {**JIT, "fastmath": {"contract", "nsz", "reassoc"}}
_LOG_EPS = 1e-8


class Weights(NamedTuple):
    """The parameters, or as many gradients."""

    w1: np.ndarray  # (H, D)
    b1: np.ndarray  # (H,)
    w2: np.ndarray  # (L, H)
    b2: np.ndarray  # (L,)
    codebook: np.ndarray  # (L, D)


class Shape(NamedTuple):
    """What the arrays' shapes do not tell, and how the work is cut."""

    num_codebooks: int  # M
    num_codewords: int  # K
    blocks: int


class Memory(NamedTuple):
    """What the buffers of a tile of any height are made from: their flattened memory."""

    x: np.ndarray
    h: np.ndarray
    p: np.ndarray
    q: np.ndarray
    y: np.ndarray
    dp: np.ndarray
    dh: np.ndarray
    draws: np.ndarray
    bits: np.ndarray
    columns: np.ndarray
    squares: np.ndarray
    certain: np.ndarray
    norms: np.ndarray


class Buffers(NamedTuple):
    """Memory that the phases work in, for a tile of n rows."""

    x: np.ndarray  # (n, D), normalized rows
    h: np.ndarray  # (H, n), hidden activations
    p: np.ndarray  # (L, n), probabilities
    q: np.ndarray  # (L, n), derivative of the softmax's argument by the encoder's output
    y: np.ndarray  # (blocks, n, D), parts of the reconstruction; the first becomes its gradient
    dp: np.ndarray  # (L, n), gradient of the probabilities, then of the encoder's outputs
    dh: np.ndarray  # (blocks, H, n), parts of the gradient of the hidden activations
    draws: np.ndarray  # (threads, 4, n)
    bits: np.ndarray  # uint32 (threads, 4, n)
    columns: np.ndarray  # (threads, 2, n)
    squares: np.ndarray  # (n,), squared residuals by row
    certain: np.ndarray  # (M,), largest probabilities by group


class Noise(NamedTuple):
    """Where the Gumbel noise comes from: an array, or the generator."""

    given: np.ndarray  # (rows, M, K), or without rows
    words: np.ndarray  # uint32 (4,): low and high half of the seed, then the counter's last words


@njit(**_SUM)
def _total_squares(values):
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i] * values[i]
    return total


@njit(**JIT)
def tile_buffers(memory, shape, weights, threads, n):
    """Shapes the memory for a tile of ``n`` rows."""
    num_hidden, dim = weights.w1.shape
    num_logits = weights.w2.shape[0]
    return Buffers(
        memory.x[: n * dim].reshape(n, dim),
        memory.h[: num_hidden * n].reshape(num_hidden, n),
        memory.p[: num_logits * n].reshape(num_logits, n),
        memory.q[: num_logits * n].reshape(num_logits, n),
        memory.y[: shape.blocks * n * dim].reshape(shape.blocks, n, dim),
        memory.dp[: num_logits * n].reshape(num_logits, n),
        memory.dh[: shape.blocks * num_hidden * n].reshape(shape.blocks, num_hidden, n),
        memory.draws[: threads * 4 * n].reshape(threads, 4, n),
        memory.bits[: threads * 4 * n].reshape(threads, 4, n),
        memory.columns[: threads * 2 * n].reshape(threads, 2, n),
        memory.squares[:n],
        memory.certain,
    )


@njit(**_SUM)
def _total(values):
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i]
    return total


@njit(**JIT)
def _gather(x, source, rows, centre, scale, thread, threads):
    """Normalizes this thread's share of the rows."""
    n, dim = x.shape
    kind = x.dtype.type
    for i in range(n * thread // threads, n * (thread + 1) // threads):
        row = rows[i]
        for j in range(dim):
            x[i, j] = (kind(source[row, j]) - centre[j]) / scale


@njit(**JIT)
def _hidden(gemm, weights, x, h, start, stop):
    """Computes hidden units ``start`` to ``stop``."""
    block = h[start:stop]
    product(gemm, weights.w1[start:stop], False, x, True, block, 0.0)
    for i in range(block.shape[0]):
        row, bias = block[i], weights.b1[start + i]
        for j in range(row.size):
            row[j] = tanh(row[j] + bias)


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
def _residual(x, y, squares, start, stop, batchsize):
    """Adds the parts of the reconstruction up for rows ``start`` to ``stop``.

    Leaves its gradient in the first part, and adds the squared residuals of row i to
    ``squares[i]``.
    """
    kind = x.dtype.type
    factor = kind(1.0 / batchsize)
    for i in range(start, stop):
        row, original = y[0, i], x[i]
        for part in range(1, y.shape[0]):
            added = y[part, i]
            for j in range(row.size):
                row[j] += added[j]
        for j in range(row.size):
            row[j] -= original[j]
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
    thread, threads, barrier, passed, gemm, shape, weights, buffers,
    source, rows, first_row, batchsize, centre, scale, noise, tau,
):  # fmt: skip
    """Runs a tile's rows through the autoencoder, up to the gradient of the reconstruction.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: The team's barrier.
        passed: How many barriers this thread has passed.
        gemm: Address of gemm.
        shape: Sizes.
        weights: The parameters.
        buffers: Memory for exactly the tile's n rows. ``certain`` is added to.
        source: ``(N, D)``, where rows are gathered from.
        rows: Indices into ``source``, ``(n,)``.
        first_row: Position in the batch of the tile's first row.
        batchsize: Rows of the whole batch.
        centre: ``(D,)``.
        scale: A number of the weights' type.
        noise: The Gumbel noise.
        tau: Temperature.

    Returns:
        How many barriers this thread has passed.
    """
    x, h, p, q, y = buffers.x, buffers.h, buffers.p, buffers.q, buffers.y
    n = rows.size
    _gather(x, source, rows, centre, scale, thread, threads)
    passed = wait_for_all(barrier, passed, threads)
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(weights.w1.shape[0], block, shape.blocks)
        if start < stop:
            _hidden(gemm, weights, x, h, start, stop)
    passed = wait_for_all(barrier, passed, threads)
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_codebooks, block, shape.blocks)
        if start == stop:
            y[block] = 0
            continue
        units = slice(start * shape.num_codewords, stop * shape.num_codewords)
        product(gemm, weights.w2[units], False, h, False, p[units], 0.0)
        for group in range(start, stop):
            buffers.certain[group] += _probabilities(
                group, shape, weights, p, q, noise, first_row, tau,
                buffers.draws[thread], buffers.bits[thread], buffers.columns[thread],
            )  # fmt: skip
        product(gemm, p[units], True, weights.codebook[units], False, y[block], 0.0)
    passed = wait_for_all(barrier, passed, threads)
    start, stop = block_of(n, thread, threads)
    _residual(x, y, buffers.squares, start, stop, batchsize)
    return wait_for_all(barrier, passed, threads)


@njit(**JIT)
def backward(thread, threads, barrier, passed, gemm, shape, weights, gradients, buffers, fresh):
    """Computes the gradients of a tile that ``forward`` has just been through.

    Args:
        thread: As for ``forward``.
        threads: As for ``forward``.
        barrier: As for ``forward``.
        passed: As for ``forward``.
        gemm: As for ``forward``.
        shape: As for ``forward``.
        weights: As for ``forward``.
        gradients: Overwritten if ``fresh``, added to otherwise.
        buffers: As ``forward`` left them.
        fresh: Whether this is the batch's first tile.

    Returns:
        How many barriers this thread has passed.
    """
    x, h, p, q, dp, dh = buffers.x, buffers.h, buffers.p, buffers.q, buffers.dp, buffers.dh
    dy = buffers.y[0]
    num_codewords = shape.num_codewords
    beta = 0.0 if fresh else 1.0
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(shape.num_codebooks, block, shape.blocks)
        if start == stop:
            dh[block] = 0
            continue
        units = slice(start * num_codewords, stop * num_codewords)
        product(gemm, p[units], False, dy, False, gradients.codebook[units], beta)
        product(gemm, weights.codebook[units], False, dy, True, dp[units], 0.0)
        for group in range(start, stop):
            _softmax_gradient(group, num_codewords, p, q, dp, buffers.columns[thread])
        product(gemm, dp[units], False, h, True, gradients.w2[units], beta)
        for unit in range(start * num_codewords, stop * num_codewords):
            gradients.b2[unit] = _total(dp[unit]) + (0 if fresh else gradients.b2[unit])
        product(gemm, weights.w2[units], True, dp[units], False, dh[block], 0.0)
    passed = wait_for_all(barrier, passed, threads)
    for block in range(thread, shape.blocks, threads):
        start, stop = block_of(weights.w1.shape[0], block, shape.blocks)
        if start == stop:
            continue
        for unit in range(start, stop):
            gradients.b1[unit] = _hidden_gradient(dh[:, unit], h[unit]) + (
                0 if fresh else gradients.b1[unit]
            )
        product(gemm, dh[0, start:stop], False, x, False, gradients.w1[start:stop], beta)
    return wait_for_all(barrier, passed, threads)
