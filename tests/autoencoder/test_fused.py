"""The fused autoencoder against the plain one."""

import numpy as np
import pytest

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.random.noise import Stream
from nncompress.sources.normalization import Normalization
from tests.autoencoder.observing import distance, observe

# rows, D, M, K; the last is more than a tile of rows
SIZES = [
    (5, 7, 3, 4),
    (1, 1, 1, 2),
    (3, 2, 1, 65),
    (64, 300, 32, 16),
    (600, 20, 8, 16),
    (2, 3, 2, 300),
]
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}


def make(kind, size, dtype, tau=0.5, **options):
    _, dim, m, k = size
    normalization = Normalization(np.linspace(-1, 1, dim), 2.5)
    chain = kind(
        dim,
        m,
        k,
        normalization=normalization,
        init="scaled",
        seed=7,
        tau=tau,
        dtype=dtype,
        **options,
    )
    chain.pinned_noise = Stream.TRAINING_NOISE, 11
    return chain


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_maxp_and_gradients_are_those_of_the_plain_chain(
    random, dtype, size, given, weighted
):
    n, dim, m, k = size
    x = 2 * random.normal(size=(n, dim)).astype(dtype)
    noise = random.gumbel(size=(n, m, k)).astype(dtype) if given else None
    weights = random.exponential(size=n) if weighted else None
    plain = make(CompositionalAutoencoder, size, dtype)
    fused = make(FusedAutoencoder, size, dtype, machine=Machine(threads=2))
    (expected, gradients), (found, fused_gradients) = (
        observe(plain, x, noise, weights),
        observe(fused, x, noise, weights),
    )
    assert len(found) == (4 if weighted else 3)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype])
    for name, gradient in gradients.items():
        assert fused_gradients[name].dtype == dtype
        assert distance(gradient, fused_gradients[name]) < TOLERANCE[dtype], name


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("tau", [0.05, 10.0])
def test_extreme_inputs_give_finite_gradients(random, scale, tau):
    size = (70, 12, 4, 8)
    x = scale * random.normal(size=(70, 12)).astype(np.float32)
    values, gradients = observe(make(FusedAutoencoder, size, np.float32, tau=tau), x)
    assert np.isfinite(values).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_a_short_batch_after_a_long_one(random):
    size = (600, 20, 8, 16)
    x = random.normal(size=(600, 20)).astype(np.float32)
    reused = make(FusedAutoencoder, size, np.float32)
    observe(reused, x)
    for rows in (7, 600, 1):
        one, other = (
            observe(reused, x[:rows]),
            observe(make(FusedAutoencoder, size, np.float32), x[:rows]),
        )
        assert (one[0] == other[0]).all()


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_change_no_bit(random, threads):
    size = (600, 50, 8, 16)
    x = random.normal(size=(600, 50)).astype(np.float32)
    values, gradients = observe(
        make(FusedAutoencoder, size, np.float32, machine=Machine(threads=1)), x
    )
    others, other_gradients = observe(
        make(FusedAutoencoder, size, np.float32, machine=Machine(threads=threads)), x
    )
    assert (values == others).all()
    assert all((gradient == other_gradients[name]).all() for name, gradient in gradients.items())


def test_without_backprop_only_the_loss_is_computed(random):
    size = (50, 7, 3, 4)
    x = random.normal(size=(50, 7)).astype(np.float32)
    chain = make(FusedAutoencoder, size, np.float32)
    with chainer.no_backprop_mode():
        objective = chain(x)
    assert float(objective.array) == observe(chain, x)[0][0]
    assert objective.creator is None


@pytest.mark.parametrize("size", SIZES)
def test_codes_are_those_of_the_plain_chain(random, size):
    n, dim, m, _ = size
    x = 2 * random.normal(size=(n, dim)).astype(np.float32)
    codes = make(FusedAutoencoder, size, np.float32).encode(x)
    assert codes.shape == (n, m)
    assert (codes == make(CompositionalAutoencoder, size, np.float32).encode(x)).mean() > 0.999


def test_calls_draw_the_noise_that_the_plain_chain_draws(random):
    size = (20, 7, 3, 4)
    x = random.normal(size=(20, 7)).astype(np.float32)
    losses = []
    for kind in (CompositionalAutoencoder, FusedAutoencoder):
        chain = make(kind, size, np.float32)
        chain.pinned_noise = None
        losses.append([float(chain(x).array) for _ in range(3)])
        with chainer.using_config("train", False):
            losses[-1].append(float(chain(x).array))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert len(set(losses[1])) == 4
