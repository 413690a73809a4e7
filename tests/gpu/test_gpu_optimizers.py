"""The GPU's kernels do what the optimizer says: against plain Chainer on the GPU's row order."""

from dataclasses import replace

import numpy as np
import pytest

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.gpu import GpuAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.random.shuffle import batch_rows, shuffled
from nncompress.sources import EmbeddingMatrix
from nncompress.training import gpu_updater
from nncompress.training.gpu_updater import GpuUpdater
from nncompress.training.settings import TrainingOptions
from nncompress.training.updater import AutoencoderUpdater
from tests.autoencoder.observing import distance
from tests.gpu.conftest import machine_of
from tests.training.chainers_optimizers import KNOWN, UNKNOWN

B, N = 70, 300
to_cpu = chainer.backends.cuda.to_cpu


class Reference(AutoencoderUpdater):
    """Plain Chainer, on the rows that a GPU takes, by the definition of its order."""

    def next_rows(self):
        super().next_rows()
        if not self.settings.short_batches:
            return batch_rows(self.iteration, 1, B, N, self.settings.seed)
        epoch, batch = divmod(self.iteration, -(-N // B))
        return shuffled(np.arange(N), N, epoch, self.settings.seed)[batch * B : (batch + 1) * B]


def settings_of(**options):
    options = {"epochs": 2, "batch_size": B, "learning_rate": 0.01} | options
    return TrainingOptions(full_precision=True, **options).resolve(N, 3, 8)


def make(runtime, matrix, settings, *, own=None, weights=None):
    """Returns the reference's updater and that of the GPU."""
    updaters = []
    for kind, update, machine, options in (
        (CompositionalAutoencoder, Reference, Machine(), {}),
        (GpuAutoencoder, GpuUpdater, machine_of(runtime), {"runtime": runtime}),
    ):
        if options:
            options["full_precision"] = True
        chain = kind(12, 3, 8, seed=0, init="scaled", tau=settings.tau_start, **options)
        chain.to_device(machine.device)
        optimizer = None if own is None else own()
        matrix_ = EmbeddingMatrix(matrix)
        updaters.append(update(matrix_, chain, settings, machine, weights, optimizer))
    return updaters


def train(updater):
    reporter = chainer.Reporter()
    reporter.add_observer("main", updater.chain)
    summary = chainer.reporter.DictSummary()
    while updater.iteration < updater.settings.iterations:
        observation = {}
        with reporter.scope(observation):
            updater.update()
        summary.add(observation)
    return {name: float(value) for name, value in summary.compute_mean().items()}


def assert_same(plain, ours):
    found = dict(ours.chain.namedparams())
    for name, parameter in plain.chain.namedparams():
        assert distance(parameter.array, to_cpu(found[name].array)) < 1e-4, name
        assert found[name].update_rule.t == parameter.update_rule.t


@pytest.mark.parametrize("case", KNOWN)
def test_the_kernels_do_what_they_know(runtime, matrix, case):
    name, change = KNOWN[case]
    updaters = make(runtime, matrix, settings_of(optimizer=name, epochs=1))
    for updater in updaters:
        change(updater)
        train(updater)
    assert_same(*updaters)


@pytest.mark.parametrize("case", ["a hook", "momentum", "a fixed l1", "a link hook"])
def test_chainer_does_what_the_kernels_do_not_know_and_a_line_says_so(runtime, matrix, case):
    make_optimizer, change, reason = UNKNOWN[case]
    plain, ours = make(runtime, matrix, settings_of(epochs=1), own=make_optimizer)
    for updater in (plain, ours):
        if change is not None:
            change(updater)
    means = train(plain)
    with pytest.warns(UserWarning, match=f"{reason}.*, so Chainer makes the steps") as caught:
        found = train(ours)
    assert len(caught) == 1
    assert found == pytest.approx(means, rel=1e-4)
    assert_same(plain, ours)


def test_a_changed_optimizer_is_seen_between_updates(runtime, matrix):
    updaters = make(runtime, matrix, settings_of())
    for updater in updaters:
        optimizer = updater.get_optimizer("main")
        updater.stride = 5
        while updater.iteration < 5:
            updater.update()
        optimizer.beta1 = 0.5
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))
        optimizer.alpha = 0.02
        updater.stride = 7
        with pytest.warns(UserWarning, match="the learning rate was set to 0.02"):  # noqa: PT031
            while updater.iteration < 7:
                updater.update()
        updater.chain.tau = 0.4
        with pytest.warns(UserWarning, match="the temperature tau was set to 0.4"):
            train(updater)
    assert_same(*updaters)


def test_a_rate_that_changes_with_every_update_is_followed(runtime, matrix):
    updaters = make(runtime, matrix, settings_of())
    for updater in updaters:
        updater.stride = 1
        optimizer = updater.get_optimizer("main")
        with pytest.warns(UserWarning, match="the learning rate"):  # noqa: PT031
            while updater.iteration < updater.settings.iterations:
                optimizer.alpha = 0.01 * 0.7**updater.iteration + 1e-5
                updater.update()
    assert_same(*updaters)


def test_an_optimizer_that_is_set_up_anew_begins_anew(runtime, matrix):
    updaters = make(runtime, matrix, settings_of())
    for updater in updaters:
        updater.stride = 5
        while updater.iteration < 5:
            updater.update()
        updater.get_optimizer("main").setup(updater.chain)
        train(updater)
    assert_same(*updaters)


@pytest.mark.parametrize("fitting", [True, False])
def test_steps_on_short_batches_are_those_of_chainer(
    runtime, matrix, random, monkeypatch, fitting
):
    monkeypatch.setattr(gpu_updater, "fits", lambda *_: fitting)
    monkeypatch.setattr(gpu_updater, "_STREAMED_BYTES", 12_000)  # three batches
    settings = replace(settings_of(recipe="authors"), max_grad_norm=0.5)
    assert settings.iterations == 10
    weights = None if fitting else random.exponential(size=N)
    plain, ours = make(runtime, matrix, settings, weights=weights)
    assert train(ours) == pytest.approx(train(plain), rel=1e-4)
    assert_same(plain, ours)


def test_short_batches_change_nothing_where_all_are_full(runtime, matrix):
    found = []
    for short in (False, True):
        settings = replace(settings_of(batch_size=60), short_batches=short)
        _, ours = make(runtime, matrix, settings)
        train(ours)
        found.append([to_cpu(parameter.array) for _, parameter in ours.chain.namedparams()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_of_an_epoch_have_each_row_once():
    for epoch in range(3):
        parts = [batch_rows(5 * epoch + b, 1, 70, 300, 4, short_batches=True) for b in range(5)]
        assert [len(part) for part in parts] == [70, 70, 70, 70, 20]
        assert sorted(np.concatenate(parts)) == list(range(300))
        assert (batch_rows(5 * epoch, 5, 70, 300, 4, True) == np.concatenate(parts)).all()
