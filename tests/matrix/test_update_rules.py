"""What an optimizer's update rule of a matrix says, once factors are in the matrix's place."""

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import compress_chain, finalize, load_finalized
from tests.matrix.methods import METHODS, NOW

F, L = chainer.functions, chainer.links

X = np.random.default_rng(1).normal(size=(5, 16)).astype(np.float32)


def made(method="low rank"):
    model = chainer.Chain(fc=L.Linear(16, 12))
    applied = compress_chain(model, f"{METHODS[method]},{NOW}")
    return model, applied, chainer.optimizers.SGD(0.1).setup(model)


def values(model):
    return {name: param.array.copy() for name, param in model.namedparams()}


def changed(model, optimizer):
    """Returns the names of the parameters that a step of training changes."""
    before = values(model)
    optimizer.update(lambda: F.sum(model.fc(X) ** 2))
    after = values(model)
    return {name for name in before if (before[name] != after[name]).any()}


@pytest.mark.parametrize("method", [name for name in METHODS if name != "input-output"])
def test_a_matrix_that_is_not_trained_has_factors_that_are_not(method, caplog):
    model, applied, optimizer = made(method)
    model.fc.W.update_rule.enabled = False
    assert changed(model, optimizer) == {"/fc/b"}
    for step in range(1, 5):
        applied.run_update_step(step)
        assert changed(model, optimizer) == {"/fc/b"}
    assert applied.alpha == 0
    assert "fc: the factors are not trained, like A" in caplog.text
    model.fc.enable_update()
    assert len(changed(model, optimizer)) > 1


def test_rates_of_the_matrix_are_those_of_its_factors_unless_they_have_their_own():
    model, applied, optimizer = made()
    factors = applied.get_last_compression_op().factors
    model.fc.W.update_rule.hyperparam.lr = 0.025
    factors.b_matrix.update_rule.hyperparam.lr = 0.5
    applied.run_update_step(1)
    optimizer.lr = 0.3
    assert factors.c_matrix.update_rule.hyperparam.lr == 0.025
    assert factors.b_matrix.update_rule.hyperparam.lr == 0.5
    assert model.fc.b.update_rule.hyperparam.lr == 0.3


def test_factors_are_trained_as_ever_where_nothing_was_set_for_the_matrix(caplog):
    model, applied, optimizer = made()
    applied.run_update_step(1)
    optimizer.lr = 0.3
    rates = [param.update_rule.hyperparam.lr for param in model.params()]
    assert rates == [0.3] * 4
    assert len(changed(model, optimizer)) == 4
    assert "like A" not in caplog.text


def test_a_run_that_goes_on_from_a_snapshot_leaves_factors_as_they_are(tmp_path):
    model, applied, optimizer = made()
    model.fc.W.update_rule.enabled = False
    applied.run_update_step(1)
    chainer.serializers.save_npz(tmp_path / "model.npz", model)
    other, applied, optimizer = made()
    other.fc.W.update_rule.enabled = False
    chainer.serializers.load_npz(tmp_path / "model.npz", other)
    assert applied.alpha == 0.75
    assert changed(other, optimizer) == {"/fc/b"}


def test_a_final_model_that_is_loaded_leaves_factors_as_they_are(tmp_path):
    model, applied, _ = made()
    for step in range(1, 5):
        applied.run_update_step(step)
    finalize(model)
    chainer.serializers.save_npz(tmp_path / "final.npz", model)
    other, _, optimizer = made()
    other.fc.W.update_rule.enabled = False
    load_finalized(tmp_path / "final.npz", other)
    assert changed(other, optimizer) == {"/fc/b"}


def test_a_matrix_without_an_optimizer_is_factored_all_the_same():
    model = chainer.Chain(fc=L.Linear(16, 12))
    applied = compress_chain(model, f"{METHODS['low rank']},{NOW}")
    applied.run_update_step(1)
    assert applied.alpha == 0.75


def test_adams_first_steps_of_factors_are_as_long_as_its_rate_however_late_they_come():
    model = chainer.Chain(fc=L.Linear(16, 12))
    applied = compress_chain(model, f"{METHODS['low rank']},{NOW}")
    optimizer = chainer.optimizers.Adam(0.001).setup(model)
    for _ in range(50):
        changed(model, optimizer)
    applied.run_update_step(1)
    factors = applied.get_last_compression_op().factors
    before = factors.b_matrix.array.copy()
    changed(model, optimizer)
    # Whatever the gradient, m and v corrected for their age make it a sign.
    step = np.abs(factors.b_matrix.array - before)
    np.testing.assert_allclose(step, 0.001, rtol=1e-3)
