"""The fused updater against Chainer's graph, optimizers and hooks."""

import numpy as np
import pytest

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.fused_updater import FusedUpdater
from nncompress.training.settings import TrainingOptions
from nncompress.training.updater import AutoencoderUpdater


def make(kind, matrix, settings, dtype=np.float64, weights=None):
    chain = kind(
        matrix.dim, settings.num_codebooks, settings.num_codewords,
        seed=settings.seed, init="scaled", tau=settings.tau_start, dtype=dtype,
    )  # fmt: skip
    update = {CompositionalAutoencoder: AutoencoderUpdater, FusedAutoencoder: FusedUpdater}[kind]
    return chain, update(matrix, chain, settings, Machine(), weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
@pytest.mark.parametrize("max_grad_norm", [None, 0.05])
def test_steps_are_those_of_chainer(matrix, random, optimizer, max_grad_norm, weighted):
    settings = TrainingOptions(
        optimizer=optimizer, max_grad_norm=max_grad_norm, epochs=2, batch_size=70,
        learning_rate=0.01,
    ).resolve(300, 3, 5)  # fmt: skip

    class Rows(EmbeddingMatrix):
        """Rows in float64: Chainer's functions do not mix types."""

        def take(self, rows):
            return self._array[rows]

    rows = Rows(matrix.astype(np.float64))
    weights = random.exponential(size=300) if weighted else None
    plain, plain_updater = make(CompositionalAutoencoder, rows, settings, weights=weights)
    fused, fused_updater = make(FusedAutoencoder, rows, settings, weights=weights)
    for _ in range(settings.iterations):
        plain_updater.update()
    while fused_updater.iteration < settings.iterations:
        fused_updater.update()
    for name, parameter in fused.namedparams():
        reference = dict(plain.namedparams())[name]
        np.testing.assert_allclose(parameter.array, reference.array, rtol=1e-9, err_msg=name)
        if optimizer == "Adam":
            for key in ("m", "v"):
                ours, theirs = parameter.update_rule.state[key], reference.update_rule.state[key]
                np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-18)
        assert parameter.update_rule.t == reference.update_rule.t
    optimizers = [u.get_optimizer("main") for u in (fused_updater, plain_updater)]
    assert optimizers[0].t == optimizers[1].t == settings.iterations
    rate = "lr" if optimizer == "SGD" else "alpha"
    assert getattr(optimizers[0], rate) == getattr(optimizers[1], rate) > 0


def test_updates_end_where_triggers_look(matrix):
    settings = TrainingOptions(epochs=21, batch_size=7).resolve(300, 3, 5)
    _, updater = make(FusedAutoencoder, EmbeddingMatrix(matrix), settings, np.float32)
    ends = []
    while updater.iteration < settings.iterations:
        updater.update()
        ends.append(updater.iteration)
        assert updater.is_new_epoch == (
            updater.iteration * 7 // 300 > (updater.iteration - 1) * 7 // 300
        )
    assert updater.stride == 50
    assert set(range(50, 901, 50)) <= set(ends)
    assert {-(-epoch * 300 // 7) for epoch in range(1, 22)} <= set(ends)
    assert ends[-1] == 900
    assert max(np.diff([0, *ends])) <= 50


def test_reported_means_are_those_of_the_single_steps(matrix, random):
    settings = TrainingOptions(epochs=1, batch_size=30).resolve(300, 3, 5)
    losses = []
    weights = random.exponential(size=300)
    for kind in (CompositionalAutoencoder, FusedAutoencoder):
        rows = EmbeddingMatrix(matrix)
        chain, updater = make(kind, rows, settings, np.float32, weights)
        reporter = chainer.Reporter()
        reporter.add_observer("main", chain)
        summary = chainer.reporter.DictSummary()
        while updater.iteration < 10:
            observation = {}
            with reporter.scope(observation):
                updater.update()
            summary.add(observation)
        losses.append(summary.compute_mean())
    assert set(losses[0]) == {"main/loss", "main/maxp", "main/weighted_loss"}
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "<f4"])
def test_every_stored_type_trains(matrix, dtype):
    stored = matrix.astype(dtype)
    settings = TrainingOptions(epochs=2, batch_size=64).resolve(300, 3, 5)
    chain, updater = make(FusedAutoencoder, EmbeddingMatrix(stored), settings, np.float32)
    same, reference = make(
        FusedAutoencoder, EmbeddingMatrix(stored.astype("=f4")), settings, np.float32
    )
    while updater.iteration < settings.iterations:
        updater.update()
        reference.update()
    for parameter, other in zip(chain.params(), same.params(), strict=True):
        assert np.isfinite(parameter.array).all()
        assert (parameter.array == other.array).all()
