import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import compress_chain, finalize, get_apply_compression, load_finalized
from tests.matrix.chainer_links import CASES, TOO_LARGE
from tests.matrix.methods import NOW

F, L = chainer.functions, chainer.links
COMPRESSED = [name for name, case in CASES.items() if case.matrices]
PASSED_OVER = [name for name, case in CASES.items() if not case.matrices]
LOW_RANK = f"compression_option=1,rank=300,{NOW}"


def made(name):
    """Returns a model with the link, always with the same values."""
    np.random.seed(5)
    return chainer.Chain(link=CASES[name].make())


def called(name, model):
    with chainer.using_config("train", True):
        return CASES[name].call(model.link, np.random.default_rng(11))


def compressed(name, updates, hparams=LOW_RANK):
    model = made(name)
    applied = compress_chain(model, hparams)
    for step in range(1, updates + 1):
        applied.run_update_step(step)
    return model, applied


def mixed(name, model):
    """Returns the plain link with the effective matrices and the biases as its parameters."""
    plain = made(name)
    links = dict(model.namedlinks())
    for path, link in plain.namedlinks():
        for key in link._params:
            getattr(link, key).array[...] = getattr(links[path], key).array
    return plain


def test_all_of_chainers_links_are_tried():
    links = {
        name
        for name, kind in vars(L).items()
        if isinstance(kind, type) and issubclass(kind, chainer.Link)
    }
    assert links == TOO_LARGE | {name for name in CASES if hasattr(L, name)}


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_layer_computes_with_the_mix_and_keeps_its_kind_and_names(name):
    plain = made(name)
    expected = called(name, plain).array
    model, applied = compressed(name, 0)
    scopes = {op.scope for op in applied.get_compression_ops()}
    assert scopes == {f"link/{m}".removesuffix("/W") for m in CASES[name].matrices} or scopes == {
        f"link/{m}" for m in CASES[name].matrices
    }
    assert isinstance(model.link, type(plain.link))
    assert (called(name, model).array == expected).all()
    model, applied = compressed(name, 2)
    assert applied.alpha == 0.5
    plain = mixed(name, model)
    model.cleargrads()
    plain.cleargrads()
    result, wanted = called(name, model), called(name, plain)
    np.testing.assert_allclose(result.array, wanted.array, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(result.array, expected)
    for y in (result, wanted):
        F.sum(y * y).backward()
    gradients = {
        path.replace("_op/a_matrix", ""): p.grad for path, p in model.namedparams() if "a_" in path
    }
    assert len(gradients) == len(applied.get_compression_ops())
    for path, parameter in plain.namedparams():
        if path in gradients and parameter.grad is not None:
            np.testing.assert_allclose(gradients[path], 0.5 * parameter.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_layer_is_trained_copied_finalized_and_loaded(name, tmp_path):
    model, applied = compressed(name, 0)
    optimizer = chainer.optimizers.SGD(1e-4).setup(model)
    for step in range(1, 6):
        before = called(name, model)
        optimizer.update(lambda y=before: F.sum(y * y))
        applied.run_update_step(step)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.copy()):
        assert type(other.link) is type(model.link)
        assert (called(name, other).array == called(name, model).array).all()
    expected = called(name, model).array
    assert np.isfinite(expected).all()
    finalize(model)
    assert (called(name, model).array == expected).all()
    assert not any(path.endswith(("a_matrix", "/W")) for path, _ in model.namedparams())
    file = tmp_path / "final.npz"
    chainer.serializers.save_npz(file, model, compression=False)
    again, _ = compressed(name, 0)
    load_finalized(file, again)
    assert (called(name, again).array == expected).all()
    np.testing.assert_allclose(
        called(name, mixed(name, again)).array, expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", PASSED_OVER)
def test_what_is_no_product_with_a_matrix_is_passed_over(name, caplog):
    model = chainer.Chain(link=CASES[name].make(), other=L.Linear(3, 4))
    kind = type(model.link)
    parameters = [path for path, _ in model.link.namedparams()]
    compress_chain(model, LOW_RANK)
    assert type(model.link) is kind
    if parameters:
        assert "skipped: link" in caplog.text
        with pytest.raises(ValueError, match=r"link.*: .*(multiply by a matrix|two dimensions)"):
            compress_chain(model, LOW_RANK, "link")


def test_local_biases_stay():
    link = L.LocalConvolution2D(2, 3, 5, 3)
    compress_chain(chainer.Chain(local=link), LOW_RANK, "local")
    assert {name for name, _ in link.namedparams()} >= {"/b", "/W_op/a_matrix"}


class Doubled(L.Linear):
    """A subclass with a forward that calls Chainer's."""

    def forward(self, x):
        return 2 * super().forward(x)


class Normalized(L.Linear):
    """A subclass with a forward of its own, which reads its weights more than once."""

    def forward(self, x):
        return F.linear(x, self.W / F.sqrt(F.sum(self.W**2)), self.b)


@pytest.mark.parametrize("kind", [Doubled, Normalized])
def test_subclasses_of_a_layer_go_on_with_a_forward_of_their_own(kind, random):
    np.random.seed(1)
    model, plain = chainer.Chain(fc=kind(6, 4)), kind(6, 4)
    applied = compress_chain(model, LOW_RANK)
    applied.run_update_step(1)
    plain.W.array[...] = model.fc.W.array
    plain.b.array[...] = model.fc.b.array = random.normal(size=4).astype(np.float32)
    x = random.normal(size=(3, 6)).astype(np.float32)
    assert isinstance(model.fc, kind)
    np.testing.assert_allclose(model.fc(x).array, plain(x).array, rtol=1e-5)
    formed = []
    op = applied.get_last_compression_op()
    form = op.get_apply_compression
    op.get_apply_compression = lambda: formed.append(1) or form()
    model.fc(x)
    assert len(formed) == (1 if kind is Normalized else 0)


def test_a_matrix_formed_without_a_graph_is_not_what_is_trained(random):
    class Peeking(L.Linear):
        def forward(self, x):
            with chainer.no_backprop_mode():
                assert self.W.creator is None
            return F.linear(x, self.W)

    model = chainer.Chain(fc=Peeking(6, 4))
    applied = compress_chain(model, LOW_RANK)
    applied.run_update_step(1)
    model.cleargrads()
    F.sum(model.fc(random.normal(size=(3, 6)).astype(np.float32))).backward()
    assert model.fc.W_op.a_matrix.grad.any()


@pytest.mark.parametrize("kind", [L.LSTM, L.StatelessLSTM])
def test_an_lstm_does_not_form_its_matrices_at_each_step(kind, monkeypatch):
    model = chainer.Chain(lstm=kind(6, 8))
    applied = compress_chain(model, LOW_RANK)
    applied.run_update_step(1)
    for op in applied.get_compression_ops():
        monkeypatch.setattr(op, "get_apply_compression", None)
    call = CASES[kind.__name__].call
    for _ in range(2):
        call(model.lstm, np.random.default_rng(1))


def test_a_static_graph_which_would_keep_its_first_alpha_is_refused(random):
    class Static(chainer.Chain):
        @chainer.static_graph
        def forward(self, x):
            return self.fc(x)

    model = Static(fc=L.Linear(6, 4))
    x = random.normal(size=(3, 6)).astype(np.float32)
    compress_chain(model, LOW_RANK)
    with pytest.raises(ValueError, match=r"fc: a static graph would keep .*; remove"):
        model(x)
    assert model.fc(x).shape == (3, 4)


def test_what_is_written_to_a_matrix_counts_or_is_refused(random):
    model = chainer.Chain(fc=L.Linear(6, 4), rnn=L.NStepGRU(1, 6, 4, 0.0))
    applied = compress_chain(model, LOW_RANK)
    model.fc.W.array[...] = 1  # alpha is 1: it is the parameter itself
    assert (model.fc(np.ones((1, 6), np.float32)).array == 6).all()
    applied.run_update_step(1)
    w = model.fc.W
    assert w.shape == (4, 6)
    assert w.grad is None
    with pytest.raises(ValueError, match="read-only"):
        w.array[0, 0] = 3
    for write in (
        lambda: setattr(w, "array", np.ones((4, 6))),
        lambda: setattr(w, "data", np.ones((4, 6))),
        lambda: setattr(w, "grad", np.ones((4, 6))),
        lambda: setattr(w, "grad_var", chainer.Variable(np.ones((4, 6)))),
        lambda: w.addgrad(chainer.Variable(w.array, grad=np.ones((4, 6), np.float32))),
        lambda: setattr(model.fc, "W", chainer.Parameter(np.ones((4, 6)))),
        lambda: delattr(model.fc, "W"),
        lambda: setattr(model.rnn, "ws", []),
    ):
        with pytest.raises(ValueError, match="being compressed"):
            write()
    w.cleargrad()  # it has none
    with pytest.raises(ValueError, match="being compressed"), model.fc.init_scope():
        model.fc.W = chainer.Parameter(np.ones((4, 6)))
    with pytest.raises(AttributeError, match="compressed has no 'update_rule'; use that of"):
        _ = w.update_rule
    assert not hasattr(w, "anything")
    assert "W" not in model.fc._params
    assert "W=low rank of 4 x 6, alpha 0.75" in str(model)


def test_a_shared_copy_of_a_layer_follows_it(random):
    x = random.normal(size=(3, 6)).astype(np.float32)
    model = chainer.Chain(fc=L.Linear(6, 4))
    applied = compress_chain(model, LOW_RANK)
    shared = model.copy()
    for step in range(1, 6):
        applied.run_update_step(step)
        assert (shared.fc(x).array == model.fc(x).array).all()
        assert shared.fc.W_op.alpha == applied.alpha
    model.fc.W_op.factors.b_matrix.array[...] += 1
    finalize(model)
    assert (shared.fc(x).array == model.fc(x).array).all()
    assert {p for p, _ in shared.namedparams()} == {p for p, _ in model.namedparams()}
    with pytest.raises(ValueError, match="mode 'copy' or 'share'"):
        model.copy("init")


def test_a_copy_takes_over_the_end_of_the_ramp_or_is_refused(random):
    x = random.normal(size=(3, 6)).astype(np.float32)

    def made(hparams=LOW_RANK):
        model = chainer.Chain(fc=L.Linear(6, 4))
        return model, compress_chain(model, hparams)

    def difference(one, other):
        return float(np.abs(one.fc(x).array - other.fc(x).array).max())

    model, applied = made()
    target, early = copy.deepcopy(model), copy.deepcopy(model)
    for step in range(1, 3):
        applied.run_update_step(step)
    target.copyparams(model)
    assert difference(target, model) == 0
    assert target.fc.W_op.alpha == applied.alpha == 0.5
    for step in range(3, 5):
        applied.run_update_step(step)
    finalize(model)
    target.copyparams(model)
    assert difference(target, model) == 0
    assert target.fc.W_op.is_final
    before = model.fc(x).array
    plain = chainer.Chain(fc=L.Linear(6, 4))
    others = [made("compression_option=1,rank=600")[0], made("compression_option=4,rank=4")[0]]
    for other, message in (
        (early, "fc is final, but the alpha to copy is 1; wanted 0"),
        *((other, "fc: values are copied from a link that is not") for other in (plain, *others)),
    ):
        with pytest.raises(ValueError, match=message):
            model.copyparams(other)
    for other in (plain, *others):
        with pytest.raises(ValueError, match="fc: gradients are added from a link that is not"):
            model.addgrads(other)
    assert (model.fc(x).array == before).all()


class Tied(chainer.Chain):
    """A language model whose embedding and output layer share their matrix."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.embed = L.EmbedID(12, 8)
            self.rnn = L.NStepLSTM(1, 8, 8, 0.0)
            self.out = L.Linear(8, 12)
            self.out.W = self.embed.W

    def forward(self, words, targets):
        *_, ys = self.rnn(None, None, list(self.embed(words)))
        return F.softmax_cross_entropy(self.out(F.concat(ys, axis=0)), targets.reshape(-1))


def tied(hparams=LOW_RANK, match="*"):
    np.random.seed(2)
    model = Tied()
    return model, compress_chain(model, hparams, match)


@pytest.fixture
def sentences(random):
    return tuple(random.integers(12, size=(2, 4, 3)).astype(np.int32))


def test_tied_weights_are_one_matrix(sentences, tmp_path):
    model, applied = tied()
    scopes = [op.scope for op in applied.get_compression_ops()]
    assert scopes == ["embed, out", *(f"rnn/0/w{i}" for i in range(8))]
    names = [name for name, _ in model.namedparams()]
    assert len(names) == len(set(names)) == len({id(p) for p in model.params()})
    assert not [name for name in names if name.startswith("/out/W")]
    one = model.embed.W_op.a_matrix
    assert model.out.W is model.embed.W is one
    # Chainer lists a tied parameter twice, and adds its gradient twice.
    before = one.array.copy()
    optimizer = chainer.optimizers.SGD(0.5).setup(model)
    optimizer.update(model, *sentences)
    np.testing.assert_allclose(one.array, before - 0.5 * one.grad, atol=1e-6)
    for step in range(1, 5):
        applied.run_update_step(step)
    assert (model.out.W.array == model.embed.W.array).all()
    again = copy.deepcopy(model)
    assert again.out.compression_op("W") is again.embed.W_op is not model.embed.W_op
    assert (again(*sentences).array == model(*sentences).array).all()
    expected = model(*sentences).array
    apart = model.copy("copy")  # as Chainer parts tied parameters
    assert {"/out/W_op/factors/b_matrix"} < {name for name, _ in apart.namedparams()}
    assert (apart(*sentences).array == expected).all()
    finalize(model)
    chainer.serializers.save_npz(tmp_path / "final.npz", model, compression=False)
    other, _ = tied()
    load_finalized(tmp_path / "final.npz", other)
    assert (other(*sentences).array == expected).all()


@pytest.mark.parametrize("match", ["embed", "out", ["out/W"]])
def test_one_of_two_that_are_tied_is_both(match):
    model, applied = tied(match=match)
    assert len(applied.get_compression_ops()) == 1
    applied.run_update_step(1)
    assert (model.out.W.array == model.embed.W.array).all()
    np.random.seed(2)
    other = Tied()
    one_by_one = get_apply_compression(LOW_RANK)
    for link in (other.embed, other.out):
        assert one_by_one.apply_compression(link, "both") is link
    one_by_one.run_update_step(1)
    assert len(one_by_one.get_compression_ops()) == 1
    assert (other.out.W.array == model.out.W.array).all()


def test_a_run_of_tied_and_stacked_layers_resumes_bit_for_bit(sentences, tmp_path):
    def trainer(steps):
        model, applied = tied("compression_option=4,rank=8,begin_compression_step=2,"
                              "compression_frequency=1,alpha_decrement_value=0.2")  # fmt: skip
        batches = chainer.iterators.SerialIterator([sentences], 1, shuffle=False)
        optimizer = chainer.optimizers.Adam().setup(model)
        updater = chainer.training.updaters.StandardUpdater(
            batches, optimizer, converter=lambda batch, device: batch[0]
        )
        made = chainer.training.Trainer(updater, (steps, "iteration"), out=str(tmp_path))
        made.extend(applied.all_update_op())
        return made, model

    whole, expected = trainer(9)
    whole.run()
    part, _ = trainer(4)
    part.run()
    chainer.serializers.save_npz(tmp_path / "snapshot.npz", part)
    with np.load(tmp_path / "snapshot.npz") as archive:
        assert len([n for n in archive.files if n.endswith(("embed/W_op/a_matrix", "out/W"))]) == 1
    resumed, model = trainer(9)
    chainer.serializers.load_npz(tmp_path / "snapshot.npz", resumed)
    resumed.run()
    theirs = dict(expected.namedparams())
    assert all((p.array == theirs[name].array).all() for name, p in model.namedparams())


def test_a_parallel_updater_keeps_its_models_in_step(random):
    np.random.seed(3)
    model = L.Classifier(L.MLPConvolution2D(6, (8, 4), 1))
    applied = compress_chain(model, LOW_RANK)
    images = random.normal(size=(8, 6, 1, 1)).astype(np.float32)
    data = [(x, np.full((1, 1), n % 4, np.int32)) for n, x in enumerate(images)]
    updater = chainer.training.updaters.ParallelUpdater(
        chainer.iterators.SerialIterator(data, 4, shuffle=False),
        chainer.optimizers.Adam().setup(model),
        devices={"main": "@numpy", "second": "@numpy"},
    )
    trainer = chainer.training.Trainer(updater, (8, "iteration"))
    trainer.extend(applied.all_update_op())
    trainer.run()
    assert applied.alpha == 0
    second = updater._models["second"]
    assert (second.predictor(images).array == model.predictor(images).array).all()


def test_an_updater_whose_processes_do_not_hear_of_alpha_is_refused():
    kind = chainer.training.updaters.MultiprocessParallelUpdater
    trainer = SimpleNamespace(updater=object.__new__(kind))
    _, applied = tied()
    with pytest.raises(ValueError, match="would never see alpha"):
        applied.all_update_op().initialize(trainer)
