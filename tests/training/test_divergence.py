"""Training that goes out of bounds ends, and leaves nothing that is not finite."""

import warnings

import numpy as np
import pytest

import nncompress
from nncompress import EmbeddingCompressor, InputError, TrainingOptions, learn
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import Diverged
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.session import make_session
from nncompress.training.settings import RECIPES
from nncompress.training.validation import Validation


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_steps_in_kernels_that_diverge_end_training(matrix, optimizer, recipe):
    options = TrainingOptions(recipe=recipe, optimizer=optimizer, learning_rate=1e30, epochs=3)
    with pytest.raises(Diverged, match=r"loss is (nan|inf) at iteration \d+; choose a lower"):
        learn(matrix, options.resolve(300, 4, 8))


@pytest.mark.filterwarnings("ignore:.* Chainer makes the steps itself", "ignore:.*:RuntimeWarning")
def test_chainers_steps_that_diverge_end_training(matrix):
    settings = TrainingOptions(epochs=3).resolve(300, 4, 8)
    optimizer = chainer.optimizers.RMSprop(lr=1e30)
    with pytest.raises(Diverged, match="give the optimizer a lower learning rate"):
        learn(matrix, settings, optimizer=optimizer)


def _nan_codebook(chain):
    chain.codebook.array[:] = np.nan


def spoiling(what, iteration):
    """An extension that puts a number that is not finite where kernels may not meet it."""

    @chainer.training.make_extension(trigger=(iteration, "iteration"), priority=1_000)
    def spoil(trainer):
        if trainer.updater.iteration == iteration:
            what(trainer.updater.chain)

    return spoil


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_the_best_parameters_are_finite_whatever_the_loss_is(matrix, number, monkeypatch):
    """The last validation would be the best, and its parameters are not finite."""
    settings = TrainingOptions(epochs=4, batch_size=50).resolve(300, 4, 8)
    session = make_session(EmbeddingMatrix(matrix), settings, Machine())

    def hide(validation):
        found = evaluate(validation)
        return {name: value if np.isfinite(value) else 1e-9 for name, value in found.items()}

    evaluate = Validation.evaluate
    monkeypatch.setattr(Validation, "evaluate", hide)

    def spoil(chain):
        chain.l2.b.array[3] = number

    session.trainer.extend(spoiling(spoil, 24))  # the last
    with pytest.raises(Diverged, match="l2/b has numbers that are not finite at iteration 24"):
        session.run()
    assert session.best.iteration == 18
    session.best.restore()
    assert all(np.isfinite(p.array).all() for p in session.chain.params())


def test_advice_names_what_the_settings_leave_open(matrix):
    for recipe, clipped in (("paper", None), ("authors", 0.001)):
        options = TrainingOptions(recipe=recipe, learning_rate=1e30, epochs=1)
        with pytest.raises(Diverged) as caught:
            learn(matrix, options.resolve(300, 4, 8))
        advice = caught.value.advice
        assert f"than 1e+30, such as the recipe's own {RECIPES[recipe].learning_rate:g}" in advice
        assert ("--max-grad-norm" in advice) == (clipped is None)
        assert "the recipe fast" in advice


def test_the_library_raises_and_writes_nothing(matrix, tmp_path):
    huge = np.ldexp(matrix, 100)  # whose squares the recipe, which does not scale, cannot hold
    with pytest.raises(Diverged, match="use the recipe fast, which scales the table"):
        nncompress.compress(
            huge, tmp_path / "m.nnc", num_codebooks=4, num_codewords=8, recipe="paper", epochs=2,
            report=None,
        )  # fmt: skip
    compressor = EmbeddingCompressor(4, 8, tmp_path / "model")
    with pytest.raises(Diverged):
        compressor.train(matrix, 2, learning_rate=1e30, report=None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(Diverged, match=rf"; the last good model is {tmp_path}/model.npz; "):
        compressor.train(matrix, 3, extensions=[spoiling(_nan_codebook, 12)], report=None)
    assert all(np.isfinite(array).all() for array in np.load(tmp_path / "model.npz").values())
    (tmp_path / "model.npz").unlink()
    with pytest.raises(InputError, match="train a model first"):
        compressor.encode(matrix)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_result_worse_than_the_mean_row_is_told(matrix, random, weighted):
    weights = random.exponential(size=300) if weighted else None
    size = {"num_codebooks": 4, "num_codewords": 8, "weights": weights, "report": None}
    with pytest.warns(UserWarning, match="is worse than the mean row alone .*: train longer"):
        nncompress.compress(matrix + 20, recipe="paper", epochs=1, **size)
    with warnings.catch_warnings(action="error"):
        nncompress.compress(matrix, epochs=5, **size)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_the_mean_row_follows_its_definition(matrix, random, weighted):
    weights = random.exponential(size=300) * (np.arange(300) % 3) if weighted else np.ones(300)
    weights /= weights.mean()
    mean = weights @ matrix.astype(np.float64) / 300
    expected = 0.5 * (weights @ ((matrix - mean) ** 2).sum(axis=1)) / 300
    rows, given = EmbeddingMatrix(matrix), weights if weighted else None
    assert rows.mean_row_loss(given) == pytest.approx(expected, rel=1e-9)
