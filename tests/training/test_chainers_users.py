"""Whatever a Chainer user does to the chain and its trainer counts, or is refused."""

import copy
import pickle
from datetime import datetime
from importlib import import_module

import numpy as np
import pytest

from nncompress import InputError, TrainingOptions, learn
from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.autoencoder.kernel_chain import MeanOfSteps
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.runs.run import RunChoices, continued_run, new_run
from nncompress.sources import EmbeddingMatrix
from nncompress.training.fused_updater import FusedUpdater
from nncompress.training.session import make_session
from nncompress.training.updater import AutoencoderUpdater

extensions = chainer.training.extensions
OPTIONS = {"epochs": 6, "batch_size": 50}


def pair(seed=3):
    """The plain chain and the fused one, with the same parameters and noise."""
    kinds = (CompositionalAutoencoder, FusedAutoencoder)
    return [kind(12, 4, 8, init="scaled", seed=seed) for kind in kinds]


def parameters(chain):
    return {name: p.array.copy() for name, p in chain.namedparams()}


def shift_of(kind):
    made = {
        "exponential": extensions.ExponentialShift("alpha", 0.8),
        "inverse": extensions.InverseShift("alpha", 0.5, 2.0),
        "linear": extensions.LinearShift("alpha", (5e-3, 1e-3), (2, 20)),
    }[kind]
    made.trigger = (4, "iteration")
    return made


@pytest.mark.filterwarnings("ignore:the learning rate was set")
@pytest.mark.parametrize("kind", ["exponential", "inverse", "linear"])
def test_a_shift_of_the_rate_goes_on_where_it_was_in_a_continued_run(matrix_path, tmp_path, kind):
    def run(epochs, out, resumed=None):
        options = OPTIONS | {"epochs": epochs, "recipe": "paper"}
        choices = RunChoices(
            data={"matrix": matrix_path}, options=options, num_codebooks=4, num_codewords=8,
            out=tmp_path / out, extensions=[shift_of(kind)],
        )  # fmt: skip
        if resumed is None:
            training = new_run(choices, datetime.now())
        else:
            training = continued_run(
                resumed, RunChoices(options={"epochs": epochs}, extensions=[shift_of(kind)])
            )
        training.session.trainer.run()
        return training

    whole = run(6, "a")
    part = run(3, "b")
    continued = run(6, "b", part.directory)
    for name, array in parameters(whole.session.chain).items():
        assert (parameters(continued.session.chain)[name] == array).all(), name


def test_a_run_by_an_optimizer_of_ones_own_is_not_continued_by_another(matrix_path, tmp_path):
    def choices(**more):
        return RunChoices(
            data={"matrix": matrix_path}, options=OPTIONS, num_codebooks=4, num_codewords=8,
            out=tmp_path, **more,
        )  # fmt: skip

    @chainer.training.make_extension(trigger=(1, "epoch"))
    def mine(trainer):
        pass

    given = choices(optimizer=chainer.optimizers.MomentumSGD(1e-3), extensions=[mine])
    run = new_run(given, datetime.now())
    with pytest.warns(UserWarning, match="the optimizer is MomentumSGD"):
        run.session.trainer.run()
    with pytest.raises(InputError, match="was trained by MomentumSGD, but no optimizer is given"):
        continued_run(run.directory, RunChoices())
    same = chainer.optimizers.MomentumSGD(1e-3)
    with pytest.warns(UserWarning, match="with the extensions mine, which are missing now"):
        continued_run(run.directory, RunChoices(optimizer=same))


def test_the_best_parameters_are_in_a_trainers_own_snapshots(matrix, tmp_path):
    settings = TrainingOptions(**OPTIONS).resolve(300, 4, 8)

    def session():
        return make_session(EmbeddingMatrix(matrix), settings, Machine(), out=tmp_path)

    first = session()
    while first.trainer.updater.iteration < 18:
        first.trainer.updater.update()
    first.best.loss, first.best.iteration = 0.5, 12
    first.best.adopt({name.lstrip("/"): a for name, a in parameters(first.chain).items()})
    best = parameters(first.chain)
    chainer.serializers.save_npz(str(tmp_path / "s.npz"), first.best)
    second = session()
    chainer.serializers.load_npz(str(tmp_path / "s.npz"), second.best)
    learned = second.run()
    assert (learned.loss, learned.iteration) == (0.5, 12)
    for name, array in parameters(learned.chain).items():
        assert (array == best[name]).all()


STRANGE = {
    "too few columns": lambda x: (x[:, :5],),
    "too many columns": lambda x: (np.hstack([x, x]),),
    "float64": lambda x: (x.astype(np.float64),),
    "noise of fewer rows": lambda x: (x, np.zeros((2, 4, 8), np.float32)),
    "noise of other groups": lambda x: (x, np.zeros((len(x), 8, 4), np.float32)),
    "weights of fewer rows": lambda x: (x, None, np.ones(3)),
}


@pytest.mark.parametrize("case", STRANGE)
def test_arrays_that_do_not_fit_are_refused_as_chainer_refuses_them(matrix, case):
    for chain in pair():
        with pytest.raises((ValueError, chainer.utils.type_check.InvalidType)):
            chain(*STRANGE[case](matrix[:40]))


@pytest.mark.parametrize(
    "change",
    [
        lambda chain, x: x.astype(">f4"),
        lambda chain, x: np.asfortranarray(x),
        lambda chain, x: x[::2],
        lambda chain, x: chainer.Variable(x),
        lambda chain, x: set_array(chain.codebook, np.asfortranarray(chain.codebook.array)) or x,
        lambda chain, x: set_array(chain.l1.W, np.asfortranarray(chain.l1.W.array)) or x,
    ],
)
def test_arrays_of_any_layout_give_what_they_give_in_plain_chainer(matrix, change):
    losses, codes = [], []
    for chain in pair():
        x = change(chain, matrix[:40])
        losses.append(float(chain(x).array))
        codes.append(chain.encode(x))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert (codes[0] == codes[1]).all()


def set_array(parameter, array):
    parameter.array = array


def updaters(matrix, **options):
    settings = TrainingOptions(**(OPTIONS | options)).resolve(300, 4, 8)
    rows = EmbeddingMatrix(matrix)
    for chain, kind in zip(pair(), (AutoencoderUpdater, FusedUpdater), strict=True):
        chain.tau = settings.tau_start
        yield kind(rows, chain, settings, Machine())


@pytest.mark.filterwarnings("ignore:.*Chainer makes the steps itself")
def test_parameters_that_an_extension_replaces_go_on_as_in_plain_chainer(matrix):
    def normalize(chain):
        lengths = np.linalg.norm(chain.codebook.array.astype("f8"), axis=1, keepdims=True)
        chain.codebook.array = np.asfortranarray((chain.codebook.array / lengths).astype("f4"))

    found = []
    for updater in updaters(matrix):
        updater.stride = 1
        while updater.iteration < 20:
            updater.update()
            if updater.iteration in (10, 11, 12):
                normalize(updater.chain)
        found.append(parameters(updater.chain))
    for name, array in found[0].items():
        np.testing.assert_allclose(found[1][name], array, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 0.01}])
def test_gradients_of_the_last_step_are_on_the_parameters(matrix, options):
    found = []
    for updater in updaters(matrix, **options):
        while updater.iteration < 6:
            updater.update()
        found.append({name: p.grad for name, p in updater.chain.namedparams()})
    for name, gradient in found[0].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=1e-3, atol=1e-6)


def test_the_gradient_of_the_kernels_cannot_be_differentiated_in_silence(matrix):
    _, fused = pair()
    loss = fused(matrix[:40])
    with pytest.raises(RuntimeError, match="use CompositionalAutoencoder"):
        chainer.grad([loss], [fused.codebook], enable_double_backprop=True)


def test_the_optimizer_counts_epochs(matrix):
    for updater in updaters(matrix):
        while updater.iteration < 24:
            updater.update()
        assert updater.get_optimizer("main").epoch == 4


def test_extensions_that_call_themselves_in_a_way_of_their_own_are_called_each_time(matrix):
    calls = []

    class Log(extensions.LogReport):
        def __call__(self, trainer):
            calls.append(trainer.updater.iteration)

    settings = TrainingOptions(epochs=2, batch_size=50).resolve(300, 4, 8)
    with pytest.warns(UserWarning, match="called after every iteration"):
        learn(matrix, settings, extensions=[Log(filename=None)])
    assert calls == list(range(1, 13))


def test_function_hooks_see_every_function(matrix):
    settings = TrainingOptions(epochs=2, batch_size=50).resolve(300, 4, 8)
    with (
        pytest.warns(UserWarning, match="function hook"),
        import_module("chainer.function_hooks").TimerHook() as hook,
    ):
        learn(matrix, settings)
    assert len(hook.call_history) > 12 * 10


def test_means_over_steps_are_numbers():
    mean = MeanOfSteps(6.0, 8)
    assert (mean * 2, 2 * mean, mean + 1, 1 - mean, mean / 2, -mean) == (12, 12, 7, -5, 3, -6)
    assert np.mean([mean, mean, 3.0]) == 5
    assert max(mean, 7.0) == 7
    assert min([mean, MeanOfSteps(5.0, 9)]) == MeanOfSteps(5.0, 9)
    summary = chainer.reporter.DictSummary()
    for each in ({"loss": mean}, {"loss": 0.0}):
        summary.add(each)
    assert summary.compute_mean()["loss"] == pytest.approx(6 * 8 / 9)


def test_an_optimizer_that_is_set_up_elsewhere_is_refused(matrix):
    settings = TrainingOptions(epochs=1, batch_size=50).resolve(300, 4, 8)
    optimizer = chainer.optimizers.Adam()
    learn(matrix, settings, optimizer=optimizer)
    with pytest.raises(InputError, match=r"optimizer \(Adam\) is already set up on another link"):
        learn(matrix, settings, optimizer=optimizer)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_learned_chain_can_be_copied(matrix, how):
    settings = TrainingOptions(epochs=1, batch_size=50).resolve(300, 4, 8)
    chain = learn(matrix, settings).chain
    assert (how(chain).encode(matrix) == chain.encode(matrix)).all()
