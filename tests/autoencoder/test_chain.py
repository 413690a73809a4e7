import numpy as np
import pytest

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.random.noise import Stream, gumbel_noise
from nncompress.sources.normalization import Normalization

SIZES = [(5, 7, 3, 4), (1, 1, 1, 2), (3, 2, 1, 65), (4, 6, 5, 3)]  # rows, D, M, K


def make(dim, m, k, dtype=np.float64, tau=0.7, init="scaled"):
    normalization = Normalization(np.linspace(-1, 1, dim), 2.5)
    return CompositionalAutoencoder(
        dim, m, k, normalization=normalization, init=init, seed=1, tau=tau, dtype=dtype
    )


def formula(chain, x, noise):
    """Loss and maxp written out with NumPy, from the definitions in docs/architecture.md."""
    w1, b1, w2, b2 = (p.array for p in (chain.l1.W, chain.l1.b, chain.l2.W, chain.l2.b))
    z = (x - chain.centre) / float(chain.scale)
    outputs = np.tanh(z @ w1.T + b1) @ w2.T + b2
    logits = np.log(np.log1p(np.exp(outputs)) + 1e-8).reshape(noise.shape)
    exponentials = np.exp((logits + noise) / chain.tau)
    probabilities = exponentials / exponentials.sum(axis=2, keepdims=True)
    k = noise.shape[2]
    reconstruction = chain.centre + float(chain.scale) * sum(
        probabilities[:, m] @ chain.codebook.array[m * k : (m + 1) * k]
        for m in range(noise.shape[1])
    )
    loss = np.mean([0.5 * np.sum((a - b) ** 2) for a, b in zip(x, reconstruction, strict=True)])
    return loss, probabilities.max(axis=2).mean()


def observe(chain, *arguments):
    reporter = chainer.Reporter()
    reporter.add_observer("main", chain)
    observation = {}
    with reporter.scope(observation):
        objective = chain(*arguments)
    return objective, observation


@pytest.mark.parametrize(("n", "dim", "m", "k"), SIZES)
def test_loss_and_maxp_follow_the_formula(random, n, dim, m, k):
    chain = make(dim, m, k)
    x = random.normal(size=(n, dim))
    noise = random.gumbel(size=(n, m, k))
    objective, observation = observe(chain, x, noise)
    loss, maxp = formula(chain, x, noise)
    assert float(observation["main/loss"]) == pytest.approx(loss, rel=1e-12)
    assert float(observation["main/maxp"]) == pytest.approx(maxp, rel=1e-12)
    assert float(objective.array) == pytest.approx(loss / 2.5**2, rel=1e-12)


@pytest.mark.parametrize(("n", "dim", "m", "k"), SIZES)
def test_gradients_agree_with_numerical_differentiation(random, n, dim, m, k):
    chain = make(dim, m, k)
    x = random.normal(size=(n, dim))
    noise = random.gumbel(size=(n, m, k))
    chain.cleargrads()
    chain(x, noise).backward()
    for name, parameter in chain.namedparams():
        array = parameter.array
        numerical = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            sides = []
            for step in (1e-5, -1e-5):
                array[index] = kept + step
                sides.append(formula(chain, x, noise)[0] / 2.5**2)
            array[index] = kept
            numerical[index] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(parameter.grad, numerical, rtol=1e-5, atol=1e-8, err_msg=name)


def test_a_weight_is_how_often_a_row_is_there(random):
    chain = make(5, 3, 4)
    x, noise = random.normal(size=(4, 5)), random.gumbel(size=(4, 3, 4))
    weights = np.array([3, 0, 1, 2])
    gradients = []
    chain.cleargrads()
    weighted, observation = observe(chain, x, noise, weights)
    weighted.backward()
    gradients.append([p.grad.copy() for p in chain.params()])
    repeated = np.repeat(np.arange(4), weights)
    chain.cleargrads()
    plain, _ = observe(chain, x[repeated], noise[repeated])
    plain.backward()
    gradients.append([p.grad * 6 / 4 for p in chain.params()])
    assert float(weighted.array) == pytest.approx(float(plain.array) * 6 / 4, rel=1e-12)
    assert float(observation["main/weighted_loss"]) == pytest.approx(
        float(weighted.array) * 2.5**2, rel=1e-12
    )
    assert float(observation["main/loss"]) == pytest.approx(formula(chain, x, noise)[0], rel=1e-12)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-15)


def test_noise_left_out_is_that_of_the_seed_and_position(random):
    chain = make(4, 3, 5, np.float32)
    x = random.normal(size=(6, 4)).astype(np.float32)
    noise = gumbel_noise(1, Stream.TRAINING_NOISE, 9, (6, 3, 5))
    with chain.noise_pinned(Stream.TRAINING_NOISE, 9):
        assert float(chain(x).array) == float(chain(x).array) == float(chain(x, noise).array)
    assert chain.pinned_noise is None


def losses_of(chain, x, calls):
    return [float(chain(x).array) for _ in range(calls)]


def test_each_call_draws_noise_of_its_own_and_the_seed_repeats_it(random):
    x = random.normal(size=(6, 4)).astype(np.float32)
    losses = losses_of(make(4, 3, 5, np.float32), x, 5)
    assert len(set(losses)) == 5
    assert losses_of(make(4, 3, 5, np.float32), x, 5) == losses
    chain = make(4, 3, 5, np.float32)
    noise = [gumbel_noise(1, Stream.CALL_NOISE, call, (6, 3, 5)) for call in range(5)]
    assert [float(chain(x, each).array) for each in noise] == losses
    assert losses_of(chain, x, 5) == losses  # noise that is given is not drawn


def test_evaluating_changes_nothing_in_what_training_draws(random):
    x = random.normal(size=(6, 4)).astype(np.float32)
    wanted = losses_of(make(4, 3, 5, np.float32), x, 4)
    chain = make(4, 3, 5, np.float32)
    found, evaluated = [], []
    for _ in range(4):
        found += losses_of(chain, x, 1)
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            evaluated += losses_of(chain, x, 2)
    assert found == wanted
    assert len({*found, *evaluated}) == 12


def test_a_copy_of_a_chain_counts_its_own_calls(random):
    x = random.normal(size=(6, 4)).astype(np.float32)
    chain = make(4, 3, 5, np.float32)
    copied = chain.copy(mode="share")
    assert losses_of(chain, x, 3) == losses_of(copied, x, 3)


@pytest.mark.parametrize("has_counts", [True, False])
def test_noise_goes_on_where_a_snapshot_of_the_chain_was_written(random, tmp_path, has_counts):
    x = random.normal(size=(6, 4)).astype(np.float32)
    chain, other = make(4, 3, 5, np.float32), make(4, 3, 5, np.float32)
    losses_of(chain, x, 2)
    chainer.serializers.save_npz(str(tmp_path / "chain.npz"), chain)
    if not has_counts:  # as those of older versions
        with np.load(tmp_path / "chain.npz") as archive:
            arrays = {key: archive[key] for key in archive.files if key != "noise_calls"}
        np.savez(tmp_path / "chain.npz", **arrays)
        chain = make(4, 3, 5, np.float32)
    chainer.serializers.load_npz(str(tmp_path / "chain.npz"), other)
    assert losses_of(other, x, 3) == losses_of(chain, x, 3)


def test_a_run_of_chainers_own_updater_is_continued_bit_for_bit(random, tmp_path):
    rows = random.normal(size=(40, 4)).astype(np.float32)

    def trainer(stop):
        chain = make(4, 3, 5, np.float32)
        optimizer = chainer.optimizers.Adam(0.01).setup(chain)
        iterator = chainer.iterators.SerialIterator(rows, 8, shuffle=False)
        updater = chainer.training.updaters.StandardUpdater(iterator, optimizer)
        return chain, chainer.training.Trainer(updater, (stop, "iteration"), str(tmp_path))

    whole, without_pause = trainer(10)
    without_pause.run()
    _, interrupted = trainer(4)
    interrupted.extend(
        chainer.training.extensions.snapshot(filename="t.npz"), trigger=(4, "iteration")
    )
    interrupted.run()
    other, continued = trainer(10)
    chainer.serializers.load_npz(str(tmp_path / "t.npz"), continued)
    continued.run()
    for one, another in zip(whole.params(), other.params(), strict=True):
        np.testing.assert_array_equal(one.array, another.array)


def test_encode_takes_the_largest_logit(random):
    chain = make(6, 4, 5)
    x = random.normal(size=(50, 6))
    rows = (x - chain.centre) / float(chain.scale)
    assert (chain.encode(x) == chain.logits(rows).array.argmax(axis=2)).all()


def test_exported_codebook_reconstructs_in_the_units_of_the_input(random):
    chain = make(6, 4, 5)
    x = random.normal(size=(50, 6))
    codes = chain.encode(x)
    one_hot = np.eye(5)[codes].reshape(50, 20)
    expected = chain.centre + 2.5 * one_hot @ chain.codebook.array
    np.testing.assert_allclose(one_hot @ chain.export_codebook(), expected, rtol=1e-6, atol=1e-6)


def test_the_papers_initial_weights_are_uniform_and_seeded():
    chain = CompositionalAutoencoder(30, 8, 16, seed=4)
    values = np.concatenate([p.array.ravel() for p in chain.params()])
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 0.01
    assert values.std() == pytest.approx(0.02 / np.sqrt(12), rel=0.02)
    assert chain.l1.W.shape == (64, 30)
    again = CompositionalAutoencoder(30, 8, 16, seed=4)
    assert all(
        (a.array == b.array).all() for a, b in zip(chain.params(), again.params(), strict=True)
    )
    other = CompositionalAutoencoder(30, 8, 16, seed=5)
    assert not (other.codebook.array == chain.codebook.array).any()
