"""When alpha falls: by the extension or by calls, and what is said of ramps that do not end."""

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import CompressionOp, compress_chain, get_apply_compression

F, L = chainer.functions, chainer.links

LOW_RANK = "compression_option=1,rank=200,alpha_decrement_value=0.25"


def applied_to_a_matrix(hparams, global_step=None):
    applied = get_apply_compression(hparams, global_step)
    applied.apply_compression(chainer.Parameter(np.eye(6, dtype=np.float32)))
    return applied


def alphas(applied, steps, by_extension=False):
    found = []
    for step in steps:
        for op in applied.get_compression_ops():
            op.run_scheduled_update(step) if by_extension else op.run_update_step(step)
        found.append(applied.alpha)
    return found


def test_by_calls_alpha_falls_with_each_whatever_the_frequency():
    applied = applied_to_a_matrix(
        f"{LOW_RANK},update_option=1,begin_compression_step=3,end_compression_step=6,"
        "compression_frequency=100"
    )
    assert alphas(applied, [1, 2, 3, 3, 5, 6, 7]) == [1, 1, 0.75, 0.5, 0.25, 0.25, 0.25]
    assert alphas(applied, [4], by_extension=True) == [0.25]
    op = applied.get_last_compression_op()
    assert (op.num_updates, op.last_alpha_update_step) == (3, 5)
    assert alphas(applied, [3, 4, 5]) == [0, 0, 0]
    assert (op.num_updates, op.last_alpha_update_step) == (4, 3)


def test_by_both_the_extension_follows_the_frequency_and_calls_do_not():
    applied = applied_to_a_matrix(
        f"{LOW_RANK},update_option=2,begin_compression_step=1,end_compression_step=9,"
        "compression_frequency=3"
    )
    assert alphas(applied, [1, 2, 3, 4], by_extension=True) == [1, 0.75, 0.75, 0.75]
    assert alphas(applied, [3, 3]) == [0.5, 0.25]
    assert alphas(applied, [4, 6], by_extension=True) == [0.25, 0]


def test_without_an_end_calls_change_nothing_and_a_line_says_so(caplog):
    applied = applied_to_a_matrix(f"{LOW_RANK},update_option=1")
    assert "with update_option 1 and end_compression_step -1, alpha never falls" in caplog.text
    assert alphas(applied, [0, 5, 1_000]) == [1, 1, 1]


@pytest.mark.parametrize("update_option", [0, 1])
@pytest.mark.parametrize("begin", [0, 7])
@pytest.mark.parametrize("period", [1, 10])
@pytest.mark.parametrize("decrement", [0.3, 0.01])
@pytest.mark.parametrize("length", [12, 99, 990])
def test_the_warning_is_right_about_the_end_of_a_ramp(
    caplog, update_option, begin, period, decrement, length
):
    def end_of(hparams):
        caplog.clear()
        applied = applied_to_a_matrix(hparams)
        lines = [record.getMessage() for record in caplog.records]
        for step in range(begin + length + 1_500):
            applied.run_update_step(step)
        return applied.alpha, [line for line in lines if "ends at" in line]

    hparams = (
        f"compression_option=1,rank=200,update_option={update_option},"
        f"begin_compression_step={begin},end_compression_step={begin + length},"
        f"compression_frequency={period},alpha_decrement_value={decrement}"
    )
    alpha, lines = end_of(hparams)
    assert len(lines) == (alpha > 0)
    for line in lines:
        assert f"and ends at {alpha:g}, not at 0" in line
        assert "each 1 steps" not in line
        end, _, rest = line.partition("set end_compression_step to ")[2].partition(",")
        assert end_of(hparams.replace(f"step={begin + length}", f"step={end}")) == (0, [])
        almost = hparams.replace(f"step={begin + length}", f"step={int(end) - 1}")
        assert end_of(almost)[0] > 0
        decrement_wanted = rest.rpartition(" ")[2]
        assert end_of(f"{hparams},".replace(f"={decrement},", f"={decrement_wanted},"))[0] == 0


def test_a_step_that_is_not_given_is_asked_for():
    applied = applied_to_a_matrix(f"{LOW_RANK},update_option=1,end_compression_step=9", lambda: 4)
    applied.run_update_step()
    assert applied.get_last_compression_op().last_alpha_update_step == 4
    applied = applied_to_a_matrix(f"{LOW_RANK},update_option=1,end_compression_step=9", 5)
    applied.run_update_step()
    assert applied.get_last_compression_op().last_alpha_update_step == 5
    applied = applied_to_a_matrix(
        f"{LOW_RANK},update_option=1,end_compression_step=9,run_update_interval_check=0", 5
    )
    applied.run_update_step()
    assert applied.get_last_compression_op().last_alpha_update_step == 1
    with pytest.raises(ValueError, match="global_step is 'now'; wanted an integer, or a function"):
        get_apply_compression(LOW_RANK, "now")


@pytest.mark.parametrize("step", ["now", 2.5, None])
def test_a_step_that_is_no_integer_is_refused(step):
    applied = applied_to_a_matrix(LOW_RANK, lambda: step)
    message = f"the step is {step!r}; wanted an integer"
    with pytest.raises(ValueError, match=message):
        applied.run_update_step()
    with pytest.raises(ValueError, match=message):
        applied.all_update_op()(None)
    if step is not None:
        with pytest.raises(ValueError, match=message):
            applied.run_update_step(step)
    assert applied.alpha == 1


def test_a_number_as_global_step_stands_still_and_a_line_says_so(caplog):
    applied = applied_to_a_matrix(f"{LOW_RANK},compression_frequency=1", 5)
    update = applied.all_update_op()
    assert "global_step is the fixed number 5, which does not follow the trainer's" in caplog.text

    class Trainer:
        class updater:
            iteration = 0

    for Trainer.updater.iteration in range(1, 10):
        update(Trainer)
    assert applied.alpha == 0.75


def test_options_without_an_alpha_are_not_updated():
    for option in (9, 10, 12):
        applied = get_apply_compression(
            f"compression_option={option},update_option=3,input_block_size=3"
        )
        applied.apply_compression(chainer.Parameter(np.eye(6, dtype=np.float32)))
        assert alphas(applied, [1, 2]) == [0, 0]
        assert alphas(applied, [1, 2], by_extension=True) == [0, 0]


def test_operands_have_one_dimension_or_more_and_fit(random):
    applied = applied_to_a_matrix(f"{LOW_RANK},compression_frequency=1")
    op = applied.get_last_compression_op()
    assert isinstance(op, CompressionOp)
    for _ in range(2):
        matrix = op.get_apply_compression().array
        x = random.normal(size=(2, 3, 6)).astype(np.float32)
        for operand in (x, x[0], x[0, 0], x[:, :0]):
            product = op.get_apply_matmul(operand).array
            np.testing.assert_allclose(product, operand @ matrix.T, atol=1e-6)
        for bad in (x[..., :5], np.float32(3)):
            with pytest.raises(ValueError, match=r"wanted 6 as its last dimension"):
                op.get_apply_matmul(bad)
        applied.run_update_step(1)


@pytest.mark.parametrize(
    "hparams",
    [f"{LOW_RANK},compression_frequency=2", "compression_option=10,block_compression_factor=2"],
)
def test_a_snapshot_keeps_what_no_optimizer_trains(random, hparams, tmp_path):
    rows = random.normal(size=(8, 6)).astype(np.float32)

    def trainer_for(num_steps):
        model = chainer.Chain(base=L.Linear(6, 6, initialW=rows[:6]), head=L.Linear(6, 4))
        applied = compress_chain(model, hparams)
        optimizer = chainer.optimizers.SGD(0.01).setup(model.head)
        iterator = chainer.iterators.SerialIterator(rows, 4, shuffle=False)
        updater = chainer.training.updaters.StandardUpdater(
            iterator, optimizer, loss_func=lambda x: F.sum(model.head(F.relu(model.base(x))) ** 2)
        )
        trainer = chainer.training.Trainer(updater, (num_steps, "iteration"), tmp_path)
        trainer.extend(applied.all_update_op())
        return model, trainer

    model, trainer = trainer_for(5)
    trainer.run()
    chainer.serializers.save_npz(tmp_path / "snapshot.npz", trainer)
    again, resumed = trainer_for(5)
    chainer.serializers.load_npz(tmp_path / "snapshot.npz", resumed)
    assert again.base.W_op.alpha == model.base.W_op.alpha < 1
    assert (again.head(again.base(rows)).array == model.head(model.base(rows)).array).all()
    with np.load(tmp_path / "snapshot.npz") as archive:
        names = [name for name in archive.files if name.startswith("extensions/compression/")]
    assert {name.split("/")[2] for name in names} == {"0"}  # the head is the optimizer's
