"""Option 8: the gradual schedule of pruning, its mask, and what is stored of a pruned matrix."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.packing import bits_for
from nncompress.matrix import (
    CompressionOp,
    KmeansPruningMatrixCompressor,
    compress_chain,
    finalize,
    get_apply_compression,
    load_finalized,
)
from nncompress.matrix.pruning import kept_blocks, num_kept, sparsity_at

F, L = chainer.functions, chainer.links

# A schedule that ends at step 20, and a ramp from step 20 to 24.
SCHEDULED = (
    "compression_option=8,rank=4,target_sparsity=0.75,sparsity_function_end_step=20,"
    "pruning_frequency=5,begin_compression_step=20,compression_frequency=1,"
    "alpha_decrement_value=0.25"
)


def spec_of(hparams):
    return CompressionOp.get_default_hparams().parse(f"compression_option=8,{hparams}")


def op_of(hparams, a):
    applied = get_apply_compression(hparams)
    applied.apply_compression(chainer.Parameter(a.copy()), "test")
    return applied.get_last_compression_op()


def test_the_schedule_is_the_formula_of_zhu_and_gupta():
    spec = spec_of(
        "initial_sparsity=0.1,target_sparsity=0.9,sparsity_function_begin_step=10,"
        "sparsity_function_end_step=60"
    )
    for step in (0, 10, 11, 35, 59, 60, 1_000):
        done = np.clip((step - 10) / 50, 0, 1)
        assert sparsity_at(spec, step) == pytest.approx(0.9 + (0.1 - 0.9) * (1 - done) ** 3)
    linear = spec_of("sparsity_function_exponent=1,target_sparsity=0.5")
    assert sparsity_at(linear, 50) == pytest.approx(0.25)


@given(st.integers(1, 200), st.floats(0, 0.999))
def test_as_many_blocks_are_kept_as_are_asked_for_and_none_smaller_than_a_pruned_one(count, share):
    blocks = np.random.default_rng(count).normal(size=(count, 3))
    kept = kept_blocks(blocks, share)
    assert kept.sum() == num_kept(count, share) == max(1, round(count * (1 - share)))
    means = np.abs(blocks).mean(axis=1)
    assert means[kept].min() >= means[~kept].max(initial=0)


@pytest.mark.parametrize("block_size", [1, 4])
def test_the_mask_follows_the_schedule_and_what_was_pruned_can_come_back(random, block_size):
    a = random.normal(size=(12, 16))
    op = op_of(f"{SCHEDULED},block_size={block_size}", a)
    assert op.is_plain
    blocks = a.size // block_size
    for step in range(20):
        op.run_scheduled_update(step)
        last = step // 5 * 5
        sparsity = 0.75 * (1 - (1 - last / 20) ** 3) if last else 0
        mixed = op.get_apply_compression().array
        zeros = (mixed.reshape(blocks, block_size) == 0).all(axis=1)
        assert zeros.sum() == blocks - round(blocks * (1 - sparsity))
        np.testing.assert_array_equal(mixed[mixed != 0], a[mixed != 0])
        assert op.alpha == 1
    assert not op.is_plain
    largest = op.a_matrix.array.reshape(blocks, block_size)[zeros.argmax()]
    largest[...] = 9.0  # what an optimizer with a momentum might do
    op.run_scheduled_update(20)
    assert (op.get_apply_compression().array.reshape(blocks, -1)[zeros.argmax()] != 0).all()
    assert op.alpha == 0.75


def test_zeros_of_the_pruned_matrix_stay_zero_through_the_ramp_and_its_training(random):
    a = random.normal(size=(12, 16)).astype(np.float32)
    applied = get_apply_compression(SCHEDULED)
    made = applied.apply_compression(chainer.Parameter(a))
    optimizer = chainer.optimizers.Adam(0.05)
    optimizer.setup(made)
    for step in range(1, 30):
        optimizer.update(lambda: F.sum((made() - 1.0) ** 2))
        for op in applied.get_compression_ops():
            op.run_scheduled_update(step)
        if step == 20:
            zero = made().array == 0
            assert zero.sum() == 144
        if step >= 20:
            np.testing.assert_array_equal(made().array == 0, zero)
    assert applied.alpha == 0
    assert np.abs(made().array[~zero] - 1).mean() < 0.5  # and the others were trained
    x = random.normal(size=(3, 16)).astype(np.float32)
    matrix = made().array
    np.testing.assert_allclose(op.get_apply_matmul(x).array, x @ matrix.T, atol=1e-5)
    ids = np.array([3, -1, 3])
    np.testing.assert_array_equal(op.get_apply_embedding_lookup(ids).array, matrix[ids])


def test_the_gradient_goes_to_what_is_kept_alone(random):
    op = op_of(SCHEDULED, random.normal(size=(12, 16)))
    for step in range(22):
        op.run_scheduled_update(step)
    op.cleargrads()
    mixed = op.get_apply_compression()
    weights = random.normal(size=mixed.shape)
    F.sum(mixed * weights).backward()
    kept = mixed.array != 0
    np.testing.assert_allclose(op.a_matrix.grad, op.alpha * weights * kept)
    for number, value in enumerate(op.factors.centroids.array):
        chosen = kept & np.isclose(op.factors.matrix().array, value)
        total = (1 - op.alpha) * weights[chosen].sum()
        assert op.factors.centroids.grad[number] == pytest.approx(total)


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_pruned_matrix_takes_a_bit_a_block_and_a_number_for_each_that_is_kept(
    random, block_size, share
):
    a = random.normal(size=(30, 40))
    compressor = KmeansPruningMatrixCompressor()
    compressor.get_spec().update({"rank": 5, "block_size": block_size, "pruning_fraction": share})
    centroids, numbers, kept = compressor.static_matrix_compressor(a)
    link = compressor.make_factors(a.shape, a.dtype)
    link.assign([centroids, numbers, kept])
    blocks = a.size // block_size
    count = round(blocks * (1 - share))
    assert numbers.shape == (count,)
    stored = 5 * block_size * 8 + -(-blocks // 8) + -(-count // 8) * bits_for(5)
    assert link.stored_bytes == compressor.compressed_size == stored
    matrix = link.matrix().array
    left = a.reshape(blocks, block_size).copy()
    order = np.argsort(-np.abs(left).mean(axis=1), kind="stable")
    left[order[count:]] = 0
    assert ((matrix.reshape(blocks, -1) == 0).all(axis=1) == (left == 0).all(axis=1)).all()
    theirs = KMeans(5, n_init=1, random_state=15).fit(left[np.sort(order[:count])])
    error = np.square(matrix.reshape(blocks, -1) - left).sum()
    assert error == pytest.approx(theirs.inertia_, rel=1e-6)
    ids = np.array([29, 0, -30, 7])
    np.testing.assert_array_equal(link.lookup(ids).array, matrix[ids])


def test_zeros_of_a_matrix_take_no_centroid(random):
    a = np.where(random.random((8, 8)) < 0.5, 0, np.sign(random.normal(size=(8, 8))))
    compressor = KmeansPruningMatrixCompressor()
    compressor.get_spec().update({"rank": 2})
    link = compressor.make_factors(a.shape, a.dtype)
    link.assign(compressor.static_matrix_compressor(a))
    np.testing.assert_array_equal(link.matrix().array == 0, a == 0)
    np.testing.assert_allclose(link.matrix().array, a)


def net():
    np.random.seed(3)
    return chainer.Sequential(L.Linear(16, 12), F.relu, L.Linear(12, 8))


def test_a_final_model_is_read_into_one_made_alike(random, tmp_path):
    x = random.normal(size=(3, 16)).astype(np.float32)
    model = net()
    applied = compress_chain(model, SCHEDULED)
    for step in range(1, 30):
        for op in applied.get_compression_ops():
            op.run_scheduled_update(step)
    finalize(model)
    path = tmp_path / "final.npz"
    chainer.serializers.save_npz(path, model, compression=False)
    with np.load(path) as archive:
        assert not any("mask" in name for name in archive.files)
        stored = sum(archive[name].nbytes for name in archive.files)
    assert stored == applied.compressed_size + 4 * (12 + 8)
    again = net()
    compress_chain(again, SCHEDULED)
    load_finalized(path, again)
    assert (again(x).array == model(x).array).all()


def test_a_snapshot_keeps_the_mask(random, tmp_path):
    model, again = net(), net()
    applied, applied_again = compress_chain(model, SCHEDULED), compress_chain(again, SCHEDULED)
    for op in applied.get_compression_ops():
        for step in range(1, 12):
            op.run_scheduled_update(step)
    chainer.serializers.save_npz(tmp_path / "snapshot.npz", model)
    again(random.normal(size=(3, 16)).astype(np.float32))  # has a mask of its own by now
    chainer.serializers.load_npz(tmp_path / "snapshot.npz", again)
    for step in range(12, 23):
        for one, other in zip(
            applied.get_compression_ops(), applied_again.get_compression_ops(), strict=True
        ):
            one.run_scheduled_update(step)
            other.run_scheduled_update(step)
            matrices = one.get_apply_compression().array, other.get_apply_compression().array
            np.testing.assert_array_equal(*matrices)
            assert one.alpha == other.alpha


def test_a_copy_takes_over_the_mask(random):
    model = chainer.Chain(fc=L.Linear(16, 12))
    applied = compress_chain(model, SCHEDULED)
    target = copy.deepcopy(model)
    x = random.normal(size=(3, 16)).astype(np.float32)
    for step in (5, 10, 15, 20, 22, 24):
        for op in applied.get_compression_ops():
            op.run_scheduled_update(step)
        target.copyparams(model)
        assert (target.fc(x).array == model.fc(x).array).all()
        assert (target.fc.W.array == model.fc.W.array).all()


def test_a_damaged_file_is_refused(random):
    op = op_of(SCHEDULED.replace("rank=4", "rank=5"), random.normal(size=(12, 16)))
    for step in range(25):
        op.run_scheduled_update(step)
    op.factors.numbers[...] = 255  # number 7 of 5
    op.factors.derived.clear()
    with pytest.raises(ValueError, match="with centroids up to 7; wanted at most 48, and centr"):
        op.get_apply_embedding_lookup(np.array([0]))
    op.factors.numbers[...] = 0
    op.factors.kept[...] = 255
    with pytest.raises(ValueError, match="192 blocks are kept"):
        op.get_apply_embedding_lookup(np.array([0]))


def test_a_schedule_that_has_not_ended_when_matrices_are_factored_is_told_of(caplog):
    def lines(hparams):
        caplog.clear()
        get_apply_compression(spec_of(hparams))
        return [r.getMessage() for r in caplog.records if "pruning schedule" in r.getMessage()]

    assert lines("begin_compression_step=100") == []
    (line,) = lines("begin_compression_step=50")
    assert "has reached 0.438 of 0.5" in line
    assert line.endswith("set begin_compression_step to 100 or more")
    (line,) = lines("begin_pruning_step=60,begin_compression_step=50")
    assert "has reached 0 of 0.5" in line
    (line,) = lines("begin_pruning_step=200,begin_compression_step=150")
    assert line.endswith("set begin_compression_step to 200 or more")
    assert lines("begin_pruning_step=200,begin_compression_step=200") == []
    assert lines("begin_compression_step=50,end_pruning_step=50") == []
    assert lines("begin_compression_step=50,pruning_fraction=0.6") == []


def test_by_calls_and_by_both_the_mask_has_its_own_clock(random):
    a = random.normal(size=(12, 16))
    ramp = f"{SCHEDULED},end_compression_step=40"
    op = op_of(f"{ramp},update_option=1", a)
    op.run_scheduled_update(10)
    assert op.is_plain
    op.run_update_step(10)
    assert not op.is_plain
    for _ in range(4):
        op.run_update_step(30)
    assert op.alpha == 0
    op = op_of(f"{ramp},update_option=2", a)
    op.run_update_step(10)
    assert op.is_plain
    op.run_scheduled_update(30)
    assert (op.alpha, op.is_plain) == (1, False)
    op.run_update_step(30)
    assert op.alpha == 0.75
    op = op_of(f"{SCHEDULED},update_option=1", a)  # -1 is no end for this option's calls
    op.run_update_step(1_000)
    assert op.alpha == 0.75
