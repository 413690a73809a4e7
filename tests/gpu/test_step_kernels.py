"""Gathering, Gumbel-softmax and the optimizer's kernels against formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.random.noise import Stream, gumbel_noise, noise_words
from nncompress.random.shuffle import batch_rows, shuffled

SEED = 5 + (9 << 32)


@given(st.integers(1, 3_000), st.integers(0, 3), st.integers(0, 2**40))
def test_an_epochs_order_is_a_permutation(size, epoch, seed):
    assert sorted(shuffled(np.arange(size), size, epoch, seed)) == list(range(size))


def test_orders_look_random():
    size = 1_000
    rows = np.stack([shuffled(np.arange(size), size, epoch, 3) for epoch in range(300)])
    # Each row's place is uniform: chi-squared over tenths, with 9 degrees of freedom for each row.
    tenths = np.stack([np.bincount(place // 100, minlength=10) for place in rows.T])
    statistic = ((tenths - 30.0) ** 2 / 30.0).sum(axis=1)
    assert abs(statistic.mean() - 9.0) < 0.5
    # Neighbours in one order are not neighbours in another, nor near each other.
    gaps = np.abs(np.diff(rows, axis=1))
    assert abs(gaps.mean() - size / 3) < 5
    lags = [np.corrcoef(rows[epoch], rows[epoch + 1])[0, 1] for epoch in range(299)]
    assert abs(np.mean(lags)) < 0.01


def plan_of(xp, iteration, taus, rates=(0.0,)):
    header = np.array([iteration, iteration, len(taus)], np.int64).tobytes()
    numbers = np.concatenate([rates, taus]).astype(np.float64).tobytes()
    return xp.asarray(np.frombuffer(header + numbers, np.uint8))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("iteration", [0, 7, 2**33 + 1])
def test_batches_are_taken_in_each_epochs_order(
    runtime, to_host, random, dtype, weighted, iteration
):
    size, dim, batch_size, first = 101, 37, 40, 6
    kernels = runtime.load("step", VECTOR=1, FULL_PRECISION=1)
    table = random.normal(size=(size, dim)).astype(dtype)
    weights = random.exponential(size=size).astype(np.float32)
    x, factors = (runtime.xp.full(shape, np.nan, np.float32) for shape in ((34, dim), (34,)))
    key = noise_words(SEED, Stream.ROW_ORDER, 0)[:2]
    send = runtime.xp.asarray
    kernels.launch(
        "gather", 9, 128,
        [
            plan_of(runtime.xp, iteration, [1.0]), send(table), np.int32(dtype == np.float16),
            send(weights) if weighted else None, x, factors, np.uint32(size), np.uint64(size),
            np.int32(dim),
            np.int32(batch_size), np.int32(first), np.int32(34), np.int32(0), np.int32(1),
            np.uint32(Stream.ROW_ORDER), *key,
        ],
    )  # fmt: skip
    rows = batch_rows(iteration, 1, batch_size, size, SEED)[first:]
    np.testing.assert_array_equal(to_host(x), table[rows].astype(np.float32))
    wanted = weights[rows] if weighted else np.ones(34, np.float32)
    np.testing.assert_array_equal(to_host(factors), wanted)


@pytest.mark.parametrize("full_precision", [1, 0])
@pytest.mark.parametrize(("groups", "codewords", "lanes"), [(5, 16, 4), (3, 5, 2), (2, 300, 32)])
def test_probabilities_are_those_of_the_formula(
    runtime, to_host, random, groups, codewords, lanes, full_precision
):
    n, first, tau, position = 11, 3, 0.3, (7 << 32) + 2
    kernels = runtime.load("step", VECTOR=1, FULL_PRECISION=full_precision)
    logits = groups * codewords
    outputs = (4 * random.normal(size=(n, logits))).astype(np.float32)
    bias = random.normal(size=logits).astype(np.float32)
    noise = gumbel_noise(
        SEED, Stream.TRAINING_NOISE, position, (first + n, groups, codewords), np.float64
    )[first:]
    p, q = runtime.xp.array(outputs), runtime.xp.full((n, logits), np.nan, np.float32)
    blocks = -(-n * groups * lanes // 128)
    certain = runtime.xp.full(blocks, np.nan)
    kernels.launch(
        "gumbel_softmax", blocks, 128,
        [
            plan_of(runtime.xp, position, [tau]), p, q, runtime.xp.asarray(bias), None, certain,
            np.int32(first), np.int32(n), np.int32(groups), np.int32(codewords),
            np.int32(lanes), np.uint32(Stream.TRAINING_NOISE),
            *noise_words(SEED, Stream.TRAINING_NOISE, 0)[:2],
        ],
    )  # fmt: skip
    v = outputs.astype(np.float64) + bias
    softplus = np.logaddexp(v, 0) + 1e-8
    arguments = (np.log(softplus).reshape(noise.shape) + noise) / tau
    wanted = np.exp(arguments - arguments.max(axis=2, keepdims=True))
    wanted /= wanted.sum(axis=2, keepdims=True)
    tolerance = 2e-5 if full_precision else 2e-3
    np.testing.assert_allclose(to_host(p).reshape(noise.shape), wanted, atol=tolerance)
    np.testing.assert_allclose(to_host(q), 1 / (1 + np.exp(-v)) / softplus / tau, rtol=tolerance)
    np.testing.assert_allclose(to_host(certain).sum(), wanted.max(axis=2).sum(), rtol=tolerance)
    gradient = random.normal(size=(n, logits)).astype(np.float32)
    d = runtime.xp.array(gradient)
    kernels.launch(
        "softmax_gradient", blocks, 128,
        [d, p, q, *map(np.int32, (n, groups, codewords, lanes))],
    )  # fmt: skip
    g = gradient.astype(np.float64).reshape(noise.shape)
    expected = (g - (wanted * g).sum(axis=2, keepdims=True)) * wanted
    expected = expected.reshape(n, -1) / (1 + np.exp(-v)) / softplus / tau
    found = to_host(d)
    assert np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)
