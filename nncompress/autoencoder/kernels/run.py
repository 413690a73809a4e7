"""What a team of threads is set to: training steps, gradients, a loss, or codes."""

from typing import NamedTuple

import numpy as np
from numba import njit

from nncompress.autoencoder.kernels.elementary import JIT, tanh
from nncompress.autoencoder.kernels.intrinsics import product, wait_for_all
from nncompress.autoencoder.kernels.step import TILE_ROWS, Noise, backward, forward, tile_buffers

_SUM = {**JIT, "fastmath": {"contract", "nsz", "reassoc"}}
NORM_CHUNK = 8_192
ENCODING_TILE = 256


class Moments(NamedTuple):
    """The optimizer's view of all parameters as one vector."""

    parameters: np.ndarray
    gradients: np.ndarray
    first: np.ndarray  # Adam's m; empty for SGD
    second: np.ndarray  # Adam's v; empty for SGD


class Plan(NamedTuple):
    """What changes from step to step, one element a step."""

    iterations: np.ndarray  # int64, which training noise to draw
    rates: np.ndarray  # float64, Adam's bias corrections included
    taus: np.ndarray  # float64


@njit(**_SUM)
def _total_squares(values):
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i] * values[i]
    return np.float64(total)


@njit(**JIT)
def _clipping_factor(thread, threads, barrier, passed, gradients, norms, max_norm):
    """Returns what the gradients are to be multiplied by, and how many barriers were passed."""
    for chunk in range(thread, norms.size, threads):
        norms[chunk] = _total_squares(gradients[chunk * NORM_CHUNK : (chunk + 1) * NORM_CHUNK])
    passed = wait_for_all(barrier, passed, threads)
    total = 0.0
    for chunk in range(norms.size):
        total += norms[chunk]
    norm = np.sqrt(total)
    return (max_norm / norm if norm > max_norm else 1.0), passed


@njit(**JIT)
def _descend(moments, start, stop, rate, factor, beta1, beta2, eps):
    """Makes an optimizer step on a part of the parameters."""
    kind = moments.parameters.dtype.type
    parameters, gradients = moments.parameters[start:stop], moments.gradients[start:stop]
    rate, factor = kind(rate), kind(factor)
    if moments.first.size == 0:
        for i in range(parameters.size):
            parameters[i] -= rate * (factor * gradients[i])
        return
    first, second = moments.first[start:stop], moments.second[start:stop]
    new1, new2, eps = kind(1.0 - beta1), kind(1.0 - beta2), kind(eps)
    for i in range(parameters.size):
        gradient = factor * gradients[i]
        first[i] += new1 * (gradient - first[i])
        second[i] += new2 * (gradient * gradient - second[i])
        parameters[i] -= rate / (np.sqrt(second[i]) + eps) * first[i]


@njit(**JIT)
def _report(squares, certain, batchsize, out, index):
    """Sums up a batch: its loss and maxp go to row ``index`` of ``out``."""
    loss, maxp = 0.0, 0.0
    for i in range(squares.size):
        loss += squares[i]
    for i in range(certain.size):
        maxp += certain[i]
    out[index, 0] = 0.5 * loss / batchsize
    out[index, 1] = maxp / (batchsize * certain.size)


@njit(**JIT)
def _clear(squares, certain):
    squares[:] = 0
    certain[:] = 0


@njit(**JIT)
def train(
    thread, threads, barrier, gemm, shape, memory, weights, gradients, moments, source, rows,
    centre, scale, seed_words, stream, plan, beta1, beta2, eps, max_norm, nothing, out,
):  # fmt: skip
    """Makes as many optimizer steps as ``rows`` has batches.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: int64 ``(1,)``, 0.
        gemm: Address of gemm.
        shape: Sizes.
        memory: Working memory.
        weights: The parameters, views into ``moments.parameters``.
        gradients: Views into ``moments.gradients``.
        moments: The optimizer's vectors.
        source: ``(N, D)``, where rows are gathered from.
        rows: Indices into ``source``, ``(steps, batchsize)``.
        centre: ``(D,)``.
        scale: A number of the weights' type.
        seed_words: uint32 ``(2,)``: low and high half of the seed.
        stream: Which noise.
        plan: Learning rates, temperatures and noise positions.
        beta1: Adam's decay of the first moment.
        beta2: Adam's decay of the second moment.
        eps: Adam's eps.
        max_norm: Global norm that gradients are clipped to; 0 for no clipping.
        nothing: An empty ``(0, 0, 0)`` array of the weights' type.
        out: float64 ``(steps, 2)``: loss of the normalized rows, and maxp.
    """
    passed = 0
    steps, batchsize = rows.shape
    words = np.empty(4, np.uint32)
    words[0], words[1] = seed_words[0], seed_words[1]
    size = moments.parameters.size
    for step in range(steps):
        words[2] = plan.iterations[step] & 0xFFFFFFFF
        words[3] = stream | (plan.iterations[step] >> 32) << 8
        noise = Noise(nothing, words)
        if thread == 0:
            _clear(memory.squares, memory.certain)
        for first in range(0, batchsize, TILE_ROWS):
            tile = rows[step, first : first + TILE_ROWS]
            buffers = tile_buffers(memory, shape, weights, threads, tile.size)
            passed = forward(
                thread, threads, barrier, passed, gemm, shape, weights, buffers,
                source, tile, first, batchsize, centre, scale, noise, plan.taus[step],
            )  # fmt: skip
            passed = backward(
                thread, threads, barrier, passed, gemm, shape, weights, gradients, buffers,
                first == 0,
            )  # fmt: skip
        if thread == 0:
            _report(memory.squares, memory.certain, batchsize, out, step)
        factor = 1.0
        if max_norm > 0.0:
            factor, passed = _clipping_factor(
                thread, threads, barrier, passed, moments.gradients, memory.norms, max_norm
            )
        _descend(
            moments, size * thread // threads, size * (thread + 1) // threads, plan.rates[step],
            factor, beta1, beta2, eps,
        )  # fmt: skip
        passed = wait_for_all(barrier, passed, threads)


@njit(**JIT)
def differentiate(
    thread, threads, barrier, gemm, shape, memory, weights, gradients, wanted, x, rows, centre,
    scale, noise, tau, out,
):  # fmt: skip
    """Computes loss and maxp of one batch, and its gradients.

    Args:
        thread: As for ``train``.
        threads: As for ``train``.
        barrier: As for ``train``.
        gemm: As for ``train``.
        shape: As for ``train``.
        memory: As for ``train``.
        weights: As for ``train``.
        gradients: Overwritten if ``wanted``.
        wanted: Whether to compute gradients.
        x: As ``source`` for ``train``.
        rows: Indices into ``x``, ``(batchsize,)``.
        centre: As for ``train``.
        scale: As for ``train``.
        noise: The Gumbel noise of the batch.
        tau: Temperature.
        out: float64 ``(1, 2)``: loss of the normalized rows, and maxp.
    """
    passed = 0
    if thread == 0:
        _clear(memory.squares, memory.certain)
    for first in range(0, rows.size, TILE_ROWS):
        tile = rows[first : first + TILE_ROWS]
        buffers = tile_buffers(memory, shape, weights, threads, tile.size)
        passed = forward(
            thread, threads, barrier, passed, gemm, shape, weights, buffers,
            x, tile, first, rows.size, centre, scale, noise, tau,
        )  # fmt: skip
        if wanted:
            passed = backward(
                thread, threads, barrier, passed, gemm, shape, weights, gradients, buffers,
                first == 0,
            )  # fmt: skip
    if thread == 0:
        _report(memory.squares, memory.certain, rows.size, out, 0)


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
def encode(thread, threads, barrier, gemm, shape, weights, source, centre, scale, codes):
    """Encodes rows without noise, each tile by one thread.

    Args:
        thread: As for ``train``.
        threads: As for ``train``.
        barrier: Not used: tiles do not depend on each other.
        gemm: As for ``train``.
        shape: As for ``train``.
        weights: The parameters.
        source: ``(n, D)``.
        centre: ``(D,)``.
        scale: A number of the weights' type.
        codes: uint8 or uint16 ``(n, M)``, overwritten.
    """
    num_hidden, dim = weights.w1.shape
    num_logits = weights.w2.shape[0]
    kind = weights.w1.dtype.type
    height = min(ENCODING_TILE, source.shape[0])
    x_memory = np.empty(height * dim, weights.w1.dtype)
    h_memory = np.empty(num_hidden * height, weights.w1.dtype)
    z_memory = np.empty(num_logits * height, weights.w1.dtype)
    best_memory = np.empty(height, weights.w1.dtype)
    chosen_memory = np.empty(height, np.int32)
    for first in range(thread * height, source.shape[0], threads * height):
        n = min(height, source.shape[0] - first)
        x = x_memory[: n * dim].reshape(n, dim)
        h = h_memory[: num_hidden * n].reshape(num_hidden, n)
        z = z_memory[: num_logits * n].reshape(num_logits, n)
        for i in range(n):
            for j in range(dim):
                x[i, j] = (kind(source[first + i, j]) - centre[j]) / scale
        product(gemm, weights.w1, False, x, True, h, 0.0)
        for unit in range(num_hidden):
            row, bias = h[unit], weights.b1[unit]
            for i in range(n):
                row[i] = tanh(row[i] + bias)
        product(gemm, weights.w2, False, h, False, z, 0.0)
        _choose(
            z, weights.b2, shape.num_codewords, best_memory[:n], chosen_memory[:n],
            codes[first : first + n],
        )  # fmt: skip
