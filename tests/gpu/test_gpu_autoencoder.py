"""The GPU's autoencoder and updater against the plain chain, Chainer and the CPU."""

import weakref
from dataclasses import replace

import numpy as np
import pytest

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.autoencoder.gpu import GpuAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.gpu import step as gpu_step
from nncompress.gpu.rows import fits
from nncompress.machine import Machine
from nncompress.random.noise import Stream
from nncompress.random.shuffle import batch_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization
from nncompress.training import gpu_updater
from nncompress.training.fused_updater import FusedUpdater
from nncompress.training.gpu_updater import GpuUpdater
from nncompress.training.settings import TrainingOptions
from tests.autoencoder.observing import distance, observe
from tests.cuda_on_cpu.runtime import EmulatedRuntime
from tests.gpu.conftest import machine_of, needs_compiler

# rows, D, M, K
SMALL = [(5, 7, 3, 4), (1, 1, 1, 2), (3, 2, 1, 65), (300, 20, 8, 16)]
CASES = [
    *((size, given, weighted) for size in SMALL for given in (0, 1) for weighted in (0, 1)),
    ((64, 300, 32, 16), 0, 1),
]


def device_of(runtime):
    return chainer.get_device("@numpy" if runtime.xp is np else "@cupy:0")


def make(kind, size, tau=0.5, **options):
    _, dim, m, k = size
    normalization = Normalization(np.linspace(-1, 1, dim), 2.5)
    return kind(dim, m, k, normalization=normalization, init="scaled", seed=7, tau=tau, **options)


@pytest.mark.parametrize(("full_precision", "tolerance"), [(True, 1e-5), (False, 1e-2)])
@pytest.mark.parametrize(("size", "given", "weighted"), CASES)
def test_loss_maxp_and_gradients_are_those_of_the_plain_chain(
    runtime, random, size, given, weighted, full_precision, tolerance
):
    n, dim, m, k = size
    device = device_of(runtime)
    x = 2 * random.normal(size=(n, dim)).astype(np.float32)
    noise = random.gumbel(size=(n, m, k)).astype(np.float32) if given else None
    weights = random.exponential(size=n) if weighted else None
    plain = make(CompositionalAutoencoder, size)
    ours = make(GpuAutoencoder, size, runtime=runtime, full_precision=full_precision)
    ours.to_device(device)
    plain.pinned_noise = ours.pinned_noise = Stream.TRAINING_NOISE, 11
    expected, gradients = observe(plain, x, noise, weights)
    sent = [None if array is None else device.send(array) for array in (x, noise, weights)]
    found, our_gradients = observe(ours, *sent)
    assert len(found) == (4 if weighted else 3)
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    for name, gradient in gradients.items():
        assert distance(gradient, our_gradients[name]) < tolerance, name


def test_a_batch_may_be_of_many_tiles(runtime, random, monkeypatch):
    monkeypatch.setattr(gpu_step, "TILE_ROWS", 64)
    monkeypatch.setattr(gpu_step, "_ROWS_A_PART", 16)
    size = (150, 12, 3, 8)
    x = random.normal(size=(150, 12)).astype(np.float32)
    plain = make(CompositionalAutoencoder, size)
    ours = make(GpuAutoencoder, size, runtime=runtime, full_precision=True)
    ours.to_device(device_of(runtime))
    expected, gradients = observe(plain, x)
    found, our_gradients = observe(ours, device_of(runtime).send(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for name, gradient in gradients.items():
        assert distance(gradient, our_gradients[name]) < 1e-5, name


def make_updater(runtime, matrix, settings, weights=None, kind=GpuUpdater):
    chain = GpuAutoencoder(
        matrix.dim, settings.num_codebooks, settings.num_codewords,
        normalization=matrix.normalization if settings.normalize else None,
        seed=settings.seed, init="scaled", tau=settings.tau_start, runtime=runtime,
        full_precision=settings.full_precision,
    )  # fmt: skip
    chain.to_device(device_of(runtime))
    return chain, kind(matrix, chain, settings, machine_of(runtime), weights)


def train(updater):
    """Trains to the end; returns the observations that were reported."""
    reporter = chainer.Reporter()
    reporter.add_observer("main", updater.chain)
    reported = []
    while updater.iteration < updater.settings.iterations:
        observation = {}
        with reporter.scope(observation):
            updater.update()
        if observation:
            reported.append(observation)
    return reported


def settings_for(**options):
    return TrainingOptions(
        epochs=2, batch_size=70, learning_rate=0.01, full_precision=True, **options
    ).resolve(300, 3, 8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
@pytest.mark.parametrize("max_grad_norm", [None, 0.05])
def test_steps_are_those_of_chainer(runtime, matrix, random, optimizer, max_grad_norm, weighted):
    settings = settings_for(optimizer=optimizer, max_grad_norm=max_grad_norm)
    weights = random.exponential(size=300) if weighted else None
    chain, updater = make_updater(runtime, EmbeddingMatrix(matrix), settings, weights)
    plain = CompositionalAutoencoder(
        12, 3, 8, normalization=EmbeddingMatrix(matrix).normalization,
        seed=settings.seed, init="scaled", tau=settings.tau_start,
    )  # fmt: skip
    reference = getattr(chainer.optimizers, optimizer)(0.01).setup(plain)
    if max_grad_norm is not None:
        reference.add_hook(chainer.optimizer_hooks.GradientClipping(max_grad_norm))
    losses = []
    for step in range(settings.iterations):
        rows = batch_rows(step, 1, 70, 300, settings.seed)
        setattr(reference, "alpha" if optimizer == "Adam" else "lr",
                settings.learning_rate_at(step))  # fmt: skip
        plain.tau = settings.tau_at(step)
        plain.pinned_noise = Stream.TRAINING_NOISE, step
        observation = {}
        reporter = chainer.Reporter()
        reporter.add_observer("main", plain)
        with reporter.scope(observation):
            loss = plain(matrix[rows], weights=None if weights is None else weights[rows])
        losses.append(float(observation["main/loss"]))
        plain.cleargrads()
        loss.backward()
        reference.update()

    reported = train(updater)
    to_cpu = chainer.backends.cuda.to_cpu
    for name, parameter in chain.namedparams():
        wanted = dict(plain.namedparams())[name]
        assert distance(wanted.array, to_cpu(parameter.array)) < 1e-4, name
        if optimizer == "Adam":
            for key in ("m", "v"):
                ours, theirs = parameter.update_rule.state[key], wanted.update_rule.state[key]
                assert distance(theirs, to_cpu(ours)) < 1e-3
    # One report an epoch: 300 rows end in the fifth batch, 600 in the ninth.
    found = [float(observation["main/loss"][0]) for observation in reported]
    assert [observation["main/loss"][1] for observation in reported] == [5, 4]
    np.testing.assert_allclose(found, [np.mean(losses[:5]), np.mean(losses[5:])], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_streamed_rows_give_the_same_steps(runtime, matrix, random, monkeypatch, dtype):
    """What is free on a GPU must not decide how a run ends."""
    settings = settings_for(matrix_dtype=dtype)
    weights = random.exponential(size=300)
    results = []
    for fitting in (True, False):
        monkeypatch.setattr(gpu_updater, "fits", lambda *_, fitting=fitting: fitting)
        monkeypatch.setattr(gpu_updater, "_STREAMED_BYTES", 12_000)  # three batches
        chain, updater = make_updater(runtime, EmbeddingMatrix(matrix), settings, weights)
        assert updater.stride == (200 if fitting else 2)
        train(updater)
        results.append(parameters_of(chain))
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name], err_msg=name)


def parameters_of(chain):
    to_cpu = chainer.backends.cuda.to_cpu
    return {name: to_cpu(p.array).copy() for name, p in chain.namedparams()}


def test_a_continued_run_repeats_an_uninterrupted_one(runtime, matrix, tmp_path):
    settings, rows = settings_for(), EmbeddingMatrix(matrix)
    chain, updater = make_updater(runtime, rows, settings)
    reported = train(updater)
    _, interrupted = make_updater(runtime, rows, settings)
    interrupted.stride = 1
    for _ in range(3):
        interrupted.update()
    chainer.serializers.save_npz(str(tmp_path / "updater.npz"), interrupted)
    other, continued = make_updater(runtime, rows, settings)
    chainer.serializers.load_npz(str(tmp_path / "updater.npz"), continued)
    assert continued.iteration == 3
    again = train(continued)
    for name, parameter in chain.namedparams():
        ours = dict(other.namedparams())[name]
        assert bool((parameter.array == ours.array).all()), name
    assert again[-1]["main/loss"] == reported[-1]["main/loss"]


def moments_of(chain):
    states = {name: p.update_rule.state for name, p in chain.namedparams()}
    to_cpu = chainer.backends.cuda.to_cpu
    return {f"{name}{key}": to_cpu(state[key]) for name, state in states.items() for key in "mv"}


@pytest.mark.parametrize("begun_on_cpu", [True, False])
def test_a_run_can_go_over_to_the_other_device(runtime, matrix, tmp_path, begun_on_cpu):
    settings, rows = settings_for(), EmbeddingMatrix(matrix)
    cpu = FusedAutoencoder(
        12,
        3,
        8,
        normalization=rows.normalization,
        seed=0,
        init="scaled",
        machine=Machine(threads=1),
    )
    on_cpu = cpu, FusedUpdater(rows, cpu, settings, Machine())
    on_gpu = make_updater(runtime, rows, settings)
    (chain, begun), (other, continued) = (on_cpu, on_gpu) if begun_on_cpu else (on_gpu, on_cpu)
    begun.update()
    for saved, loaded in ((begun, continued), (chain, other)):
        chainer.serializers.save_npz(str(tmp_path / "x.npz"), saved)
        chainer.serializers.load_npz(str(tmp_path / "x.npz"), loaded)
    assert continued.iteration == begun.iteration == 5
    for kind in (parameters_of, moments_of):
        for name, array in kind(chain).items():
            np.testing.assert_array_equal(array, kind(other)[name], err_msg=name)
    before = parameters_of(other)
    train(continued)
    assert continued.epoch == 2
    assert all((parameters_of(other)[name] != array).any() for name, array in before.items())


def test_a_snapshot_can_be_loaded_after_steps(runtime, matrix, tmp_path):
    settings, rows = settings_for(), EmbeddingMatrix(matrix)
    results = []
    for late in (False, True):
        chain, updater = make_updater(runtime, rows, settings)
        if late:
            updater.update()
        else:
            chainer.serializers.save_npz(str(tmp_path / "u.npz"), updater)
            chainer.serializers.save_npz(str(tmp_path / "c.npz"), chain)
        chainer.serializers.load_npz(str(tmp_path / "u.npz"), updater)
        chainer.serializers.load_npz(str(tmp_path / "c.npz"), chain)
        train(updater)
        results.append(parameters_of(chain))
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name], err_msg=name)


def test_a_log_with_a_period_of_its_own_has_a_loss_in_each_entry(runtime, matrix, tmp_path):
    logs = []
    for period in (1, 3):
        _, updater = make_updater(runtime, EmbeddingMatrix(matrix), settings_for())
        trainer = chainer.training.Trainer(updater, (9, "iteration"), str(tmp_path))
        report = chainer.training.extensions.LogReport(
            trigger=(period, "iteration"), filename=None
        )
        trainer.extend(report)
        if period == 1:
            with pytest.warns(UserWarning, match="LogReport: called after every iteration"):
                trainer.run()
        else:
            trainer.run()
        logs.append([entry["main/loss"] for entry in report.log])
    assert logs[1] == pytest.approx(np.reshape(logs[0], (3, 3)).mean(axis=1), rel=1e-5)


def test_training_lets_go_of_the_matrix(runtime, matrix):
    _, updater = make_updater(runtime, EmbeddingMatrix(matrix), settings_for())
    train(updater)
    source = weakref.ref(updater._source)
    updater.finalize()
    assert source() is None


def test_a_matrix_stays_on_the_gpu_if_it_fits(matrix):
    rows = EmbeddingMatrix(matrix)
    size = matrix.size * 4
    assert fits(rows, "float32", EmulatedRuntime(free_bytes=2 * size))
    assert not fits(rows, "float32", EmulatedRuntime(free_bytes=size))
    assert fits(rows, "float16", EmulatedRuntime(free_bytes=size))


def test_float16_rows_are_rounded_rows(runtime, matrix, to_host):
    settings = settings_for(matrix_dtype="float16")
    rows = EmbeddingMatrix(matrix)
    normalization = rows.normalization
    normalized = (matrix - normalization.centre) / np.float32(normalization.scale)
    rounded = normalized.astype(np.float16).astype(np.float32)
    chain, updater = make_updater(runtime, rows, settings)
    train(updater)
    plain, other = make_updater(
        runtime, EmbeddingMatrix(rounded), replace(settings_for(), normalize=False)
    )
    train(other)
    for name, parameter in chain.namedparams():
        ours = to_host(dict(plain.namedparams())[name].array)
        np.testing.assert_allclose(to_host(parameter.array), ours, atol=1e-6)


def test_numbers_beyond_float16_are_refused(runtime, matrix):
    rows = matrix * 1e6
    settings = replace(settings_for(matrix_dtype="float16"), normalize=False)
    with pytest.raises(InputError, match="but float16 holds at most 65504; keep the"):
        make_updater(runtime, EmbeddingMatrix(rows), settings)


@needs_compiler
def test_the_order_of_threads_changes_no_bit_of_a_run(matrix):
    results = []
    for order in ("ascending", "descending", "changing"):
        chain, updater = make_updater(
            EmulatedRuntime(order), EmbeddingMatrix(matrix), settings_for(max_grad_norm=0.5)
        )
        train(updater)
        results.append(b"".join(p.array.tobytes() for _, p in sorted(chain.namedparams())))
    assert len(set(results)) == 1
