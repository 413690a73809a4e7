import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import (
    CompressionOp,
    MatrixCompressorInterface,
    compress_chain,
    finalize,
    get_apply_compression,
    load_finalized,
    register_compressor,
)
from tests.matrix.methods import METHODS, NOW

F, L = chainer.functions, chainer.links


def parameter(random, shape=(12, 16), dtype=np.float64):
    return chainer.Parameter(random.normal(size=shape).astype(dtype))


def ramped(random, method, updates, dtype=np.float64, link=None):
    """Returns a link under compression after so many updates, and what applied it."""
    applied = get_apply_compression(f"{METHODS[method]},{NOW}")
    made = applied.apply_compression(link or parameter(random, dtype=dtype), "test")
    for step in range(1, updates + 1):
        applied.run_update_step(step)
    return made, applied


def test_alpha_follows_the_rule():
    applied = get_apply_compression(
        "compression_option=1,begin_compression_step=1000,compression_frequency=10,"
        "alpha_decrement_value=0.01"
    )
    applied.apply_compression(chainer.Parameter(np.ones((4, 4), np.float32)))
    op = applied.get_last_compression_op()
    for step, alpha, last in [
        (0, 1.0, -1), (999, 1.0, -1), (1001, 0.99, 1001), (1001, 0.99, 1001), (1010, 0.99, 1001),
        (2000, 0.98, 2000), (2009, 0.98, 2000), (2010, 0.97, 2010),
    ]:  # fmt: skip
        applied.run_update_step(step)
        assert op.alpha == pytest.approx(alpha, abs=1e-12)
        assert op.last_alpha_update_step == last


def test_alpha_reaches_exactly_0_and_ends_at_the_end():
    for decrement in (0.01, 0.1, 0.3, 0.07, 1.0):
        op = CompressionOp.get_default_hparams().parse(
            f"compression_option=1,compression_frequency=1,alpha_decrement_value={decrement}"
        )
        applied = get_apply_compression(op)
        applied.apply_compression(chainer.Parameter(np.ones((4, 4), np.float32)))
        needed = int(np.ceil(1 / decrement - 1e-9))
        for step in range(needed):
            assert applied.alpha > 0
            applied.run_update_step(step)
        assert applied.alpha == 0.0
    applied = get_apply_compression(
        "compression_option=1,begin_compression_step=5,end_compression_step=7,"
        "compression_frequency=1,alpha_decrement_value=0.1"
    )
    applied.apply_compression(chainer.Parameter(np.ones((4, 4), np.float32)))
    for step in range(20):
        applied.run_update_step(step)
    assert applied.alpha == pytest.approx(0.7)


@pytest.mark.parametrize("method", METHODS)
def test_the_matrix_is_a_mix_of_itself_and_its_compressed_form(random, method):
    made, applied = ramped(random, method, 1)
    op = applied.get_last_compression_op()
    x = random.normal(size=(5, 16))
    if method == "input-output":
        assert op.alpha == 0
        mixed = made().array
    else:
        a = op.a_matrix.array
        assert op.alpha == 0.75
        kept = op.factors.matrix().array != 0 if method == "pruning" else True
        mixed = 0.75 * a * kept + 0.25 * op.factors.matrix().array
        error = np.linalg.norm(a - op.factors.matrix().array) / np.linalg.norm(a)
        assert op.relative_error == pytest.approx(error)
    np.testing.assert_allclose(made().array, mixed)
    np.testing.assert_allclose(made.get_apply_matmul(x).array, x @ mixed.T, atol=1e-10)
    ids = np.array([[3, 3], [11, 0]])
    np.testing.assert_allclose(op.get_apply_embedding_lookup(ids).array, mixed[ids], atol=1e-10)
    assert applied.compressed_size == op.compressed_size
    assert applied.uncompressed_size == 12 * 16 * 8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("updates", [1, 4])
def test_gradients_are_those_of_numerical_differentiation(random, method, updates):
    made, applied = ramped(random, method, updates)
    x = chainer.Variable(random.normal(size=(3, 16)))
    aim = random.normal(size=(3, 12))
    ids = np.array([1, 1, 7])

    def loss():
        op = applied.get_last_compression_op()
        y = made.get_apply_matmul(x) - aim
        rows = op.get_apply_embedding_lookup(ids)
        return F.sum(y * y) + F.sum(rows * rows) + F.sum(made() ** 3)

    made.cleargrads()
    loss().backward()
    for path, param in [*made.namedparams(), ("x", x)]:
        if param.grad is None:
            assert (path, updates) == ("/op/a_matrix", 4)
            continue
        numerical = np.zeros_like(param.array)
        for index in np.ndindex(param.shape):
            old = param.array[index]
            values = []
            for step in (1e-5, -1e-5):
                param.array[index] = old + step
                values.append(float(loss().array))
            param.array[index] = old
            numerical[index] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(param.grad, numerical, rtol=1e-5, atol=1e-6)


def test_zeros_stay_zero_through_training(random):
    a = random.normal(size=(10, 12)).astype(np.float32)
    a[random.random((10, 12)) < 0.4] = 0
    applied = get_apply_compression(f"compression_option=4,rank=6,{NOW}")
    made = applied.apply_compression(chainer.Parameter(a.copy()))
    optimizer = chainer.optimizers.Adam(0.05)
    optimizer.setup(made)
    for step in range(1, 12):
        applied.run_update_step(step)
        optimizer.update(lambda: F.sum((made() - 1.0) ** 2))
    assert applied.alpha == 0
    assert (made().array[a == 0] == 0).all()
    assert (np.abs(made().array[a != 0] - 1) < 0.9).any()
    applied.get_last_compression_op().factors.centroids.array += 1  # as a hook with noise might
    assert (made().array[a == 0] == 0).all()


def test_a_centroid_that_happens_to_be_0_is_trained():
    a = np.where(np.arange(16).reshape(4, 4) % 2, 1.0, -1.0).astype(np.float32)
    applied = get_apply_compression(f"compression_option=4,rank=1,{NOW}")
    made = applied.apply_compression(chainer.Parameter(a))
    optimizer = chainer.optimizers.SGD(0.01)
    optimizer.setup(made)
    for step in range(1, 9):
        applied.run_update_step(step)
        optimizer.update(lambda: F.sum((made() - 1.0) ** 2))
    assert (made().array > 0).all()


class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(2, 8, 3, stride=2, pad=1)
            self.embed = L.EmbedID(20, 16, ignore_label=-1)
            self.fc1 = L.Linear(8 * 4 * 4, 16)
            self.rest = chainer.Sequential(F.relu, L.Linear(16, 16, nobias=True), F.relu)
            self.out = L.Linear(16, 4)

    def forward(self, x, ids):
        return self.out(self.rest(self.fc1(F.relu(self.conv(x))) + self.embed(ids)))


def make_net():
    np.random.seed(3)
    return Net()


@pytest.fixture
def batch(random):
    ids = random.integers(20, size=6).astype(np.int32)
    ids[2] = -1
    return random.normal(size=(6, 2, 8, 8)).astype(np.float32), ids


MATCHES = dict.fromkeys(METHODS, "*") | {"input-output": "fc1"}


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_model_is_compressed_trained_finalized_and_loaded(method, batch, tmp_path):
    hparams = f"{METHODS[method]},{NOW}"
    plain, model = make_net(), make_net()
    applied = compress_chain(model, hparams, MATCHES[method])
    names = [op.scope for op in applied.get_compression_ops()]
    everything = ["conv", "embed", "fc1", "out", "rest/1"]
    assert sorted(names) == (["fc1"] if method == "input-output" else everything)
    if method != "input-output":
        np.testing.assert_allclose(model(*batch).array, plain(*batch).array, atol=1e-6)
        with pytest.raises(
            ValueError,
            match=r": alpha is 1; wanted 0: keep training",
        ):
            finalize(model)
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(model)
    for step in range(1, 7):
        applied.run_update_step(step)
        optimizer.update(lambda: F.sum(model(*batch) ** 2))
    assert applied.alpha == 0
    before = model(*batch).array
    table = finalize(model)
    assert [row.layer for row in table.rows] == names
    np.testing.assert_allclose(model(*batch).array, before, atol=1e-6)
    path = tmp_path / "final.npz"
    chainer.serializers.save_npz(path, model, compression=False)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert not any("a_matrix" in name or "alpha" in name for name in arrays)
    others = sum(
        param.array.nbytes
        for name, param in plain.namedparams()
        if name.endswith("/b") or (method == "input-output" and "fc1" not in name)
    )
    stored = applied.compressed_size + others
    assert sum(array.nbytes for array in arrays.values()) == stored
    assert path.stat().st_size <= stored + 512 * len(arrays)
    again = make_net()
    compress_chain(again, hparams, MATCHES[method])
    load_finalized(path, again)
    assert (again(*batch).array == model(*batch).array).all()


@pytest.mark.parametrize("method", [m for m in METHODS if m != "input-output"])
def test_a_run_resumed_within_the_ramp_ends_the_same_bit_for_bit(method, batch, tmp_path):
    def trainer(name, steps):
        model = make_net()
        applied = compress_chain(
            model, f"{METHODS[method]},begin_compression_step=3,compression_frequency=2,"
            "alpha_decrement_value=0.2", "[!e]*",
        )  # fmt: skip
        data = [(x, i, np.int32(n % 4)) for n, (x, i) in enumerate(zip(*batch, strict=True))]
        iterator = chainer.iterators.SerialIterator(data, 3, shuffle=False)
        optimizer = chainer.optimizers.Adam()
        optimizer.setup(L.Classifier(model))
        updater = chainer.training.updaters.StandardUpdater(iterator, optimizer)
        made = chainer.training.Trainer(updater, (steps, "iteration"), out=str(tmp_path / name))
        made.extend(applied.all_update_op())
        return made, model, applied

    whole, expected, _ = trainer("whole", 14)
    whole.run()
    part, _, applied = trainer("part", 7)
    part.run()
    assert 0 < applied.alpha < 1
    chainer.serializers.save_npz(tmp_path / "snapshot.npz", part)
    resumed, model, applied = trainer("resumed", 14)
    chainer.serializers.load_npz(tmp_path / "snapshot.npz", resumed)
    resumed.run()
    assert applied.alpha == 0
    ours, theirs = state(model), state(expected)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def state(model):
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(model)
    return {name: np.asarray(value) for name, value in serializer.target.items()}


def test_the_extension_runs_each_iteration_and_reports_alpha(batch):
    model = make_net()
    applied = compress_chain(model, f"compression_option=1,rank=200,{NOW}")
    reported = []
    trainer = chainer.training.Trainer(_Updater(), (6, "iteration"))
    trainer.extend(applied.all_update_op())
    trainer.extend(
        lambda t: reported.append(t.observation["alpha"]), trigger=(1, "iteration"), priority=-100
    )
    trainer.run()
    assert reported == [0.75, 0.5, 0.25, 0.0, 0.0, 0.0]
    by_hand = compress_chain(
        make_net(), f"compression_option=1,rank=200,update_option=1,end_compression_step=9,{NOW}"
    )
    trainer = chainer.training.Trainer(_Updater(), (3, "iteration"))
    trainer.extend(by_hand.all_update_op())
    trainer.run()
    assert by_hand.alpha == 1.0
    by_hand.run_update_step(3)
    assert by_hand.alpha == 0.75
    with pytest.raises(ValueError, match="no step was given"):
        by_hand.run_update_step()


class _Updater(chainer.training.Updater):
    """Counts iterations and does nothing else."""

    iteration, epoch, epoch_detail, is_new_epoch = 0, 0, 0.0, False
    previous_epoch_detail = 0.0

    def connect_trainer(self, trainer):
        pass

    def get_all_optimizers(self):
        return {}

    def get_optimizer(self, name):
        raise KeyError(name)

    def finalize(self):
        pass

    def update(self):
        self.iteration += 1


def test_global_step_and_hyperparameters_are_asked_for():
    steps = iter([5, 6])
    applied = get_apply_compression(f"compression_option=1,{NOW}", lambda: next(steps))
    applied.apply_compression(chainer.Parameter(np.ones((4, 4), np.float32)))
    applied.run_update_step()
    assert applied.get_last_compression_op().last_alpha_update_step == 5
    assert applied.get_operator_hparam("compression_frequency") == 1
    assert applied.get_operator_hparam("none") is None
    assert applied.get_spec().compression_option == 1


def test_option_0_leaves_everything_as_it_is():
    applied = get_apply_compression("compression_option=0")
    link = L.Linear(3, 4)
    assert applied.apply_compression(link) is link
    model = make_net()
    compress_chain(model, "compression_option=0")
    assert type(model.fc1) is L.Linear
    assert applied.alpha == 0


def test_what_cannot_be_compressed_is_refused(random):
    applied = get_apply_compression("compression_option=1")
    with pytest.raises(ValueError, match="a link of type LSTM has no matrix of its own"):
        applied.apply_compression(L.LSTM(3, 4))
    with pytest.raises(ValueError, match="has no values yet"):
        applied.apply_compression(L.Linear(None, 4))
    with pytest.raises(ValueError, match="two dimensions or more"):
        applied.apply_compression(chainer.Parameter(np.ones(3, np.float32)))
    model = make_net()
    with pytest.raises(ValueError, match="no matrix matches 'none"):
        compress_chain(model, "compression_option=1", "none*")
    with pytest.raises(ValueError, match="has no matrix that is being compressed"):
        finalize(model)
    chainer.optimizers.SGD().setup(model)
    with pytest.raises(ValueError, match=r"compress a model before calling optimizer\.setup"):
        compress_chain(model, "compression_option=1")
    assert type(model.conv) is L.Convolution2D
    with pytest.raises(ValueError, match="input_block_size is 5"):
        get_apply_compression("compression_option=9,input_block_size=5").apply_compression(
            parameter(random)
        )


def test_a_compressor_of_ones_own_can_be_registered(random):
    class Halves(MatrixCompressorInterface):
        """Keeps every other column."""

        def static_matrix_compressor(self, a_matrix):
            chosen = np.zeros((a_matrix.shape[1] // 2, a_matrix.shape[1]), a_matrix.dtype)
            chosen[np.arange(len(chosen)), 2 * np.arange(len(chosen))] = 1
            return [a_matrix[:, ::2], chosen]

    register_compressor(77, "halves", Halves)
    for number in (0, 1, 9, 77):
        with pytest.raises(ValueError, match=f"compression_option {number} is taken"):
            register_compressor(number, "again", Halves)
    for number, name, compressor, message in (
        (78, "nothing", dict, "is not a subclass"),
        ("a", "a", Halves, "the number of a compressor is 'a'; wanted an integer"),
        (True, "true", Halves, "the number of a compressor is True"),
        (78, 5, Halves, "the name of compressor 78 is 5; wanted a string"),
    ):
        with pytest.raises(ValueError, match=message):
            register_compressor(number, name, compressor)
    applied = get_apply_compression(f"compression_option=77,{NOW}")
    made = applied.apply_compression(parameter(random))
    a = made().array.copy()
    for step in range(1, 5):
        applied.run_update_step(step)
    expected = a.copy()
    expected[:, 1::2] = 0
    np.testing.assert_allclose(made().array, expected)
    assert applied.get_last_compression_op().method == "halves"


def test_layers_under_compression_take_the_arguments_of_those_they_replace(random, batch):
    linear = L.Linear(8, 4)
    made, _ = ramped(random, "low rank", 0, link=linear)
    x = random.normal(size=(2, 3, 8)).astype(np.float32)
    np.testing.assert_allclose(made(x, n_batch_axes=2).array, linear(x, n_batch_axes=2).array)
    np.testing.assert_allclose(made(x.reshape(6, 2, 4)).array, linear(x.reshape(6, 8)).array)
    convolution = L.Convolution2D(2, 4, (3, 2), stride=(2, 1), pad=1, dilate=2)
    made, applied = ramped(random, "dictionary", 4, link=convolution)
    compressed = applied.get_last_compression_op().factors.matrix().array.reshape(4, 2, 3, 2)
    expected = F.convolution_2d(batch[0], compressed, convolution.b, (2, 1), 1, dilate=2)
    np.testing.assert_allclose(made(batch[0]).array, expected.array, atol=1e-5)


class _Shared(chainer.Chain):
    """A link under two names, a block in two places, and a link in two parents."""

    def __init__(self):
        super().__init__()
        np.random.seed(1)
        with self.init_scope():
            self.fc1 = L.Linear(8, 8)
            self.fc2 = self.fc1
            block = chainer.Sequential(L.Linear(8, 8), F.relu)
            self.blocks = chainer.ChainList(block, block)
            self.one = chainer.Chain(proj=self.fc1)

    def forward(self, x):
        for link in (self.fc1, self.fc2, *self.blocks, self.one.proj):
            x = link(x)
        return x


def test_what_stands_in_several_places_is_one_matrix(random):
    x = random.normal(size=(3, 8)).astype(np.float32)
    model = _Shared()
    before = model(x).array
    applied = compress_chain(model, f"compression_option=1,rank=400,{NOW}")
    assert len(applied.get_compression_ops()) == 2
    assert applied.uncompressed_size == 2 * 8 * 8 * 4
    assert model.fc1 is model.fc2 is model.one.proj
    assert model.blocks[0] is model.blocks[1]
    np.testing.assert_allclose(model(x).array, before, atol=1e-6)
    for step in range(1, 5):
        applied.run_update_step(step)
    finalize(model)
    assert not any(name.endswith("/W") for name, _ in model.namedparams())


def test_what_is_being_compressed_is_not_compressed_again(random):
    applied = get_apply_compression("compression_option=1")
    for twice in (L.Linear(3, 4), parameter(random)):
        applied.apply_compression(twice)
        with pytest.raises(ValueError, match="is already being compressed"):
            applied.apply_compression(twice)


def test_the_specification_is_a_copy_and_shapes_are_checked(random):
    hparams = CompressionOp.get_default_hparams().parse(f"compression_option=1,rank=200,{NOW}")
    applied = get_apply_compression(hparams)
    applied.apply_compression(parameter(random))
    hparams.rank = 800
    applied.run_update_step(1)
    assert applied.get_last_compression_op().factors.b_matrix.shape == (12, 6)
    with pytest.raises(ValueError, match=r"expected a factor of shape \(12, 6\), got \(12, 1\)"):
        applied.get_last_compression_op().factors.assign([np.ones((12, 1)), np.ones((6, 16))])


def test_files_of_other_models_are_refused_and_leave_the_model(batch, tmp_path):
    def final(hparams, name):
        model = make_net()
        applied = compress_chain(model, f"{hparams},{NOW}")
        for step in range(1, 5):
            applied.run_update_step(step)
        finalize(model)
        chainer.serializers.save_npz(tmp_path / name, model, compression=False)

    final("compression_option=1,rank=400", "a.npz")
    final("compression_option=4,rank=8", "b.npz")
    model = make_net()
    compress_chain(model, f"compression_option=1,rank=200,{NOW}")
    before = model(*batch).array
    chainer.serializers.save_npz(tmp_path / "early.npz", model)
    chainer.serializers.save_npz(tmp_path / "plain.npz", make_net())
    with np.load(tmp_path / "a.npz") as whole:
        kept = {name: whole[name] for name in whole.files if not name.endswith("b_matrix")}
    np.savez(tmp_path / "part.npz", **kept)
    for name, message in (
        ("a.npz", r"has shape \(.*\) for .*, but the model \(.*\); wanted the file of a final"),
        ("b.npz", "lacks '.*/b_matrix', which the model has; wanted the file of a final"),
        ("early.npz", "has '.*/a_matrix', so it was saved before finalize; wanted"),
        ("plain.npz", "has '.*/W', which the model lacks; wanted the file of a final model"),
        ("part.npz", "lacks '.*/b_matrix', which the model has; wanted the file of a final"),
        ("none.npz", "does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            load_finalized(tmp_path / name, model)
    assert (model(*batch).array == before).all()


def test_messages_name_the_layer_and_the_names_there_are():
    with pytest.raises(ValueError, match="the matrices are: predictor/conv, predictor/embed"):
        compress_chain(L.Classifier(make_net()), "compression_option=1", "fc*")
    with pytest.raises(ValueError, match="out: one codebook of num_codewords 16 takes"):
        compress_chain(make_net(), "compression_option=5,rank=800", "out")
    with pytest.raises(ValueError, match="of type float16; wanted float32 or float64"):
        get_apply_compression("compression_option=3").apply_compression(
            chainer.Parameter(np.ones((4, 4), np.float16))
        )


@pytest.mark.parametrize("method", [name for name in METHODS if name != "input-output"])
def test_a_matrix_that_cannot_be_factored_is_named_with_the_step(method):
    model = chainer.Chain(fc=L.Linear(16, 12))
    applied = compress_chain(model, f"{METHODS[method]},{NOW}")
    a = applied.get_last_compression_op().a_matrix.array
    a[3, 3] = np.nan
    with pytest.raises(ValueError, match=r"^fc cannot be factored at step 7: .* not finite"):
        applied.run_update_step(7)
    assert applied.alpha == 1
    a[3, 3] = 0
    applied.run_update_step(8)
    assert applied.alpha == 0.75


def test_empty_batches_and_negative_rows_are_as_before(random):
    made, _ = ramped(random, "low rank", 1, link=L.Linear(8, 4))
    assert made(np.zeros((0, 8), np.float32)).shape == (0, 4)
    made, _ = ramped(random, "low rank", 1, link=L.EmbedID(6, 4))
    made.cleargrads()
    F.sum(made(np.array([-1, 2]))).backward()
    assert made.W_op.a_matrix.grad[5].any()
