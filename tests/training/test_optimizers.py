"""The CPU's kernels do what the optimizer says: against Chainer's own graph and optimizers."""

from contextlib import nullcontext

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
from tests.training.chainers_optimizers import KNOWN, UNKNOWN, TimerHook, halve

KINDS = {CompositionalAutoencoder: AutoencoderUpdater, FusedAutoencoder: FusedUpdater}
PLAIN, FUSED = KINDS
extensions = chainer.training.extensions


class Rows(EmbeddingMatrix):
    """Rows in float64: Chainer's functions do not mix types."""

    def take(self, rows):
        return self._array[rows]


def make(kind, matrix, *, own=None, weights=None, **options):
    options = {"epochs": 2, "batch_size": 70, "learning_rate": 0.01} | options
    settings = TrainingOptions(**options).resolve(300, 3, 5)
    chain = kind(12, 3, 5, seed=0, init="scaled", tau=settings.tau_start, dtype=np.float64)
    rows = Rows(matrix.astype(np.float64))
    return KINDS[kind](rows, chain, settings, Machine(threads=2), weights, own)


def trainer_of(updater, out, *shifts):
    updater.stride = 1
    trainer = chainer.training.Trainer(updater, (updater.settings.iterations, "iteration"), out)
    for shift in shifts:
        trainer.extend(shift, trigger=(1, "iteration"))
    return trainer


def assert_same(one, other):
    found = dict(other.chain.namedparams())
    for name, parameter in one.chain.namedparams():
        np.testing.assert_allclose(found[name].array, parameter.array, rtol=1e-8, err_msg=name)
        assert found[name].update_rule.t == parameter.update_rule.t, name
    assert one.get_optimizer("main").t == other.get_optimizer("main").t


def train(updater):
    while updater.iteration < updater.settings.iterations:
        updater.update()


@pytest.mark.parametrize("case", KNOWN)
def test_the_kernels_do_what_they_know(matrix, case):
    name, change = KNOWN[case]
    plain, fused = (make(kind, matrix, optimizer=name) for kind in KINDS)
    for updater in (plain, fused):
        change(updater)
        train(updater)
    assert_same(plain, fused)
    assert fused.get_optimizer("main").t == fused.settings.iterations


@pytest.mark.parametrize("case", UNKNOWN)
def test_chainer_does_what_the_kernels_do_not_know_and_a_line_says_so(matrix, case):
    make_optimizer, change, reason = UNKNOWN[case]
    plain, fused = (make(kind, matrix, own=make_optimizer()) for kind in KINDS)
    for updater in (plain, fused):
        if change is not None:
            change(updater)
    train(plain)
    with pytest.warns(UserWarning, match=f"{reason}.*, so Chainer makes the steps") as caught:
        train(fused)
    assert len(caught) == 1
    assert_same(plain, fused)


def test_a_hook_may_come_and_go(matrix):
    plain, fused = (make(kind, matrix) for kind in KINDS)
    for updater, context in ((plain, nullcontext()), (fused, pytest.warns(match="hook halve"))):
        updater.stride = 3
        with context:
            while updater.iteration < 3:
                updater.update()
            updater.get_optimizer("main").add_hook(halve)
            while updater.iteration < 6:
                updater.update()
            updater.get_optimizer("main").remove_hook("halve")
            train(updater)
    assert_same(plain, fused)


def test_a_part_that_was_fixed_for_a_while_counts_its_own_updates(matrix):
    plain, fused = (make(kind, matrix) for kind in KINDS)
    for updater, context in ((plain, nullcontext()), (fused, pytest.warns())):
        with context:
            updater.chain.l1.disable_update()
            for _ in range(3):
                updater.update()
            updater.chain.l1.enable_update()
            train(updater)
    assert_same(plain, fused)
    assert fused.chain.l1.W.update_rule.t == fused.settings.iterations - 3


@pytest.mark.parametrize("is_set_up", [False, True])
def test_a_users_optimizer_has_the_say_on_rate_and_clipping(matrix, is_set_up):
    found = []
    for kind in KINDS:
        basis = make(kind, matrix, max_grad_norm=1e-6, learning_rate=7.0)
        optimizer = chainer.optimizers.Adam(0.003, beta1=0.8)
        if is_set_up:
            optimizer.setup(basis.chain)
            optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.2))
        updater = KINDS[kind](
            basis.matrix, basis.chain, basis.settings, Machine(), None, optimizer
        )
        train(updater)
        assert optimizer.alpha == 0.003
        found.append(updater)
    assert_same(*found)


def test_an_optimizer_that_has_made_steps_goes_on_counting_them(matrix):
    found = []
    for kind in KINDS:
        basis = make(kind, matrix)
        train(basis)
        optimizer = basis.get_optimizer("main")
        updater = KINDS[kind](
            basis.matrix, basis.chain, basis.settings, Machine(), None, optimizer
        )
        train(updater)
        assert optimizer.t == 2 * basis.settings.iterations
        found.append(updater)
    assert_same(*found)


SHIFTS = {
    "ExponentialShift": lambda: extensions.ExponentialShift("alpha", 0.7),
    "LinearShift": lambda: extensions.LinearShift("alpha", (0.02, 0.001), (1, 6)),
}


@pytest.mark.parametrize("shift", SHIFTS)
def test_chainers_schedules_of_the_rate_are_obeyed(matrix, tmp_path, shift):
    plain, fused = (make(kind, matrix) for kind in KINDS)
    for updater in (plain, fused):
        with pytest.warns(UserWarning, match="the learning rate was set to 0.0") as caught:
            trainer_of(updater, tmp_path, SHIFTS[shift]()).run()
        assert len(caught) == 1
    rates = [updater.get_optimizer("main").alpha for updater in (plain, fused)]
    wanted = 0.01 * 0.7**9 if shift == "ExponentialShift" else 0.001
    assert rates == pytest.approx([wanted, wanted], rel=1e-12)
    assert_same(plain, fused)


def test_a_rate_and_a_tau_that_are_set_by_hand_stay(matrix):
    plain, fused = (make(kind, matrix) for kind in KINDS)
    for updater in (plain, fused):
        updater.get_optimizer("main").alpha = 0.03
        with pytest.warns(UserWarning, match="was set to 0.03, which ends the recipe's"):
            updater.update()
        updater.chain.tau = 0.25
        with pytest.warns(UserWarning, match="the temperature tau was set to 0.25"):
            train(updater)
        assert updater.get_optimizer("main").alpha == 0.03
        assert updater.chain.tau == 0.25
    # The fused updater's first update was five steps, the plain one's was one.
    fused, plain = (make(kind, matrix) for kind in (FUSED, PLAIN))
    for updater in (plain, fused):
        updater.chain.tau = 0.25
        with pytest.warns(UserWarning, match="tau"):
            train(updater)
    assert_same(plain, fused)


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_the_say_on_the_rate_survives_a_snapshot(matrix, tmp_path, kind):
    whole, begun, continued = (make(kind, matrix) for _ in range(3))
    for updater in (whole, begun):
        updater.stride = 1
        updater.update()
        updater.get_optimizer("main").alpha = 0.03
        updater.chain.tau = 0.25
    with pytest.warns(UserWarning, match="was set to"):
        train(whole)
    with pytest.warns(UserWarning, match="was set to"):  # even before the next step
        chainer.serializers.save_npz(str(tmp_path / "u.npz"), begun)
    chainer.serializers.load_npz(str(tmp_path / "u.npz"), continued)
    train(continued)
    assert continued.get_optimizer("main").alpha == 0.03
    assert continued.chain.tau == 0.25
    assert_same(whole, continued)


def test_snapshots_from_before_schedules_could_step_back_are_read(matrix, tmp_path):
    whole, begun, continued = (make(FUSED, matrix) for _ in range(3))
    begun.update()
    chainer.serializers.save_npz(str(tmp_path / "u.npz"), begun)
    with np.load(tmp_path / "u.npz") as archive:
        old = {
            key: archive[key]
            for key in archive.files
            if not key.startswith("schedule") and "noise_calls" not in key
        }
    assert len(old) < len(archive.files)
    np.savez(tmp_path / "u.npz", **old)
    chainer.serializers.load_npz(str(tmp_path / "u.npz"), continued)
    train(continued)
    train(whole)
    assert_same(whole, continued)


def test_link_hooks_see_the_links_of_a_fused_chain(matrix):
    rows = matrix[:20].astype(np.float64)
    plain, fused = (make(kind, matrix).chain for kind in KINDS)
    timer = TimerHook()
    with timer:
        losses = [float(chain(rows).array) for chain in (plain, fused)]
        codes = [chain.encode(rows) for chain in (plain, fused)]
    assert losses[0] == losses[1]
    assert (codes[0] == codes[1]).all()
    linear = [link for link, _ in timer.call_history if "Linear" in str(link)]
    assert len(linear) == 8
    fused.l2.add_hook(timer)
    fused(rows)
    assert len(timer.call_history) == 8 + 2 + 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_may_end_with_the_rows_that_are_left(matrix, kind):
    updater = make(kind, matrix, recipe="authors", epochs=3)
    assert updater.settings.iterations == 3 * 5
    seen = []
    take = updater.get_iterator("main").next
    updater.get_iterator("main").next = lambda: seen.append(take()) or seen[-1]
    train(updater)
    assert [len(rows) for rows in seen] == [70, 70, 70, 70, 20] * 3
    for epoch in range(3):
        rows = np.concatenate(seen[5 * epoch : 5 * epoch + 5])
        assert sorted(rows) == list(range(300))
    assert updater.epoch == 3


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_on_short_batches_are_those_of_chainer(matrix, random, weighted):
    weights = random.exponential(size=300) if weighted else None
    losses = []
    updaters = [make(kind, matrix, recipe="authors", weights=weights) for kind in KINDS]
    for updater in updaters:
        reporter = chainer.Reporter()
        reporter.add_observer("main", updater.chain)
        summary = chainer.reporter.DictSummary()
        while updater.iteration < updater.settings.iterations:
            observation = {}
            with reporter.scope(observation):
                updater.update()
            summary.add(observation)
        losses.append(summary.compute_mean())
    assert_same(*updaters)
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
