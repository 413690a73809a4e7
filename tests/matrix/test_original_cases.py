"""The cases of Google's graph_compression tests, rebuilt from their numbers.

Each test names the file and the case that it stands for. Where this library differs on purpose, it
says so. There a matrix is ``(in, out)``, and here ``(out, in)`` as Chainer's links have it, so
that shapes are transposed.
"""

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import (
    BlockCompressionOp,
    CompressionOp,
    CompressionOptions,
    DLMatrixCompressor,
    InputOutputCompressionOp,
    KmeansMatrixCompressor,
    LowRankDecompMatrixCompressor,
    PruningCompressionOp,
    SimhashMatrixCompressor,
    get_apply_compression,
)
from nncompress.matrix.methods.registry import registered

F, L = chainer.functions, chainer.links

OUTER = np.outer([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
JITTERED = OUTER + np.array([0, 1e-1, 2e-2])
OUTER_12_8 = np.outer(
    [1.0, 2, 3, 7, 8, 9, 1, 2, 5, -2, -7, -1], [4.0, 5, 6, 3, 1, 8, 3, 2]
)  # fmt: skip


def float32(a):
    return np.asarray(a, dtype=np.float32)


def compressor_of(kind, **values):
    compressor = kind()
    compressor.get_spec().update(values)
    return compressor


def op_of(hparams, compressor, a):
    spec = CompressionOp.get_default_hparams().parse(hparams)
    return CompressionOp(spec, chainer.Parameter(float32(a)), compressor)


def is_zero(array):
    return bool(np.linalg.norm(array) < 1e-5)


def applied_twice(hparams, a):
    """Returns what applied a specification to the same values twice, and the two ops."""
    applied = get_apply_compression(hparams)
    for name in ("first_compressor", "second_compressor"):
        applied.apply_compression(chainer.Parameter(float32(a)), name)
    return applied, *applied.get_compression_ops()


def by_extension(applied, step):
    for op in applied.get_compression_ops():
        op.run_scheduled_update(step)


def test_low_rank_recovers_a_matrix_of_half_rank(random):
    """compression_op_test: testLowRankDecompMatrixCompressorInterface."""
    a = random.normal(size=(10, 5)) @ random.normal(size=(5, 10))
    b, c = LowRankDecompMatrixCompressor().static_matrix_compressor(a)
    assert np.linalg.norm(a - b @ c) < 0.01


def test_a_low_rank_op_is_zero_before_and_equal_after_the_beginning():
    """compression_op_test: testCompressionOpInterface."""
    a = [[1.0, 1, 1], [1, 0, 0], [1, 0, 0]]
    compressor = compressor_of(LowRankDecompMatrixCompressor, num_rows=3, num_cols=3, rank=200)
    op = op_of(
        "name=cifar10_compression,begin_compression_step=1000,end_compression_step=120000,"
        "compression_frequency=10,compression_option=1,update_option=0",
        compressor, a,
    )  # fmt: skip
    b_matrix, c_matrix = op.factors.b_matrix.array, op.factors.c_matrix.array
    op.run_scheduled_update(30)
    assert (is_zero(op.a_matrix.array), is_zero(b_matrix), is_zero(c_matrix)) == (
        False, True, True
    )  # fmt: skip
    b, c = compressor.static_matrix_compressor(float32(a))
    for step, alpha, last in ((1001, 0.99, 1001), (1001, 0.99, 1001), (2000, 0.98, 2000)):
        op.run_scheduled_update(step)
        assert op.alpha == pytest.approx(alpha)
        assert op.last_alpha_update_step == last
        assert not is_zero(op.a_matrix.array)
        np.testing.assert_allclose(np.abs(b_matrix), np.abs(b), atol=1e-5)
        np.testing.assert_allclose(np.abs(c_matrix), np.abs(c), atol=1e-5)


@pytest.mark.parametrize("third", [2000, 2001])
def test_two_matrices_fall_together(third):
    """compression_op_test: testApplyCompression, of 2021 (step 2000) and 2022 (step 2001)."""
    applied, one, two = applied_twice(
        "name=cifar10_compression,begin_compression_step=1000,end_compression_step=120000,"
        "compression_frequency=100,compression_option=1,rank=200",
        OUTER,
    )
    by_extension(applied, 30)
    assert (one.alpha, two.alpha, one.last_alpha_update_step) == (1, 1, -1)
    assert is_zero(one.factors.b_matrix.array)
    assert is_zero(one.factors.c_matrix.array)
    b, c = compressor_of(LowRankDecompMatrixCompressor, rank=200).static_matrix_compressor(
        float32(OUTER)
    )
    for step, alpha, last in ((1001, 0.99, 1001), (1001, 0.99, 1001), (third, 0.98, third)):
        by_extension(applied, step)
        assert one.alpha == two.alpha == pytest.approx(alpha)
        assert one.last_alpha_update_step == last
        np.testing.assert_allclose(np.abs(one.factors.b_matrix.array), np.abs(b), atol=1e-5)
        np.testing.assert_allclose(np.abs(one.factors.c_matrix.array), np.abs(c), atol=1e-5)


INPUT_OUTPUT = (
    "name=input_output_compression,compression_option=9,begin_compression_step=1000,"
    "end_compression_step=120000,compression_frequency=100,compress_input=True,"
    "compress_output=True,input_compression_factor=2,input_block_size=4,"
    "output_compression_factor=2,output_block_size=4,"
)


def test_input_output_matrices_have_the_shapes_and_a_vector_is_multiplied():
    """compression_op_test: InputOutputCompressionOpTest.test_get_apply_matmul."""
    applied = get_apply_compression(INPUT_OUTPUT)
    applied.apply_compression(chainer.Parameter(float32(OUTER_12_8.T)), "compressor")
    op = applied.get_last_compression_op()
    # Transposed, as A is.
    assert op.b_matrix.shape == (2, 4)
    assert op.c_matrix.shape == (4, 6)
    assert op.d_matrix.shape == (4, 2)
    assert op.get_apply_matmul(float32([1, 2, 3, 4] * 3)).shape == (8,)


def test_input_compression_alone():
    """compression_op_test of 2021: InputCompressionOpTest.test_get_apply_matmul.

    There ``rank`` was what ``input_compression_factor`` is since 2022, and is here.
    """
    applied = get_apply_compression(
        "name=input_compression,compression_option=9,begin_compression_step=1000,"
        "end_compression_step=120000,compression_frequency=100,input_compression_factor=2,"
        "input_block_size=4"
    )
    a = np.outer([1.0, 2, 3, 7, 8, 9, 1, 2], [4.0, 5, 6, 3])
    applied.apply_compression(chainer.Parameter(float32(a.T)), "compressor")
    op = applied.get_last_compression_op()
    assert (op.b_matrix.shape, op.c_matrix.shape) == ((2, 4), (4, 4))
    assert op.get_apply_matmul(float32([1, 2, 3, 4] * 2)).shape == (4,)


def test_a_block_diagonal_matrix_has_as_many_entries_as_the_originals_mask():
    """compression_op_test: BlockCompressionOpTest.test_get_apply_matmul.

    There ``c_matrix`` and ``c_mask`` are 12 x 8 each, with 48 ones in the mask. Here the 48
    entries alone are stored, and there is no mask.
    """
    applied = get_apply_compression(
        "name=block_compression,compression_option=10,begin_compression_step=1000,"
        "end_compression_step=120000,compression_frequency=100,block_method=mask,"
        "block_compression_factor=2,"
    )
    applied.apply_compression(chainer.Parameter(float32(OUTER_12_8.T)), "compressor")
    op = applied.get_last_compression_op()
    assert isinstance(op, BlockCompressionOp)
    assert op.c_matrix.size == 48
    matrix = op.get_apply_compression().array
    assert matrix.shape == (8, 12)
    assert np.count_nonzero(matrix) == 48
    assert op.get_apply_matmul(float32([1, 2, 3, 4] * 3)).shape == (8,)


@pytest.mark.parametrize("global_step", [0, None])
def test_a_dense_layer_returns_the_shape_of_a_plain_one(random, global_step):
    """compression_op_test: testCompressedDenseLayer."""
    x = float32(random.random((10, 48)))
    applied = get_apply_compression(
        "name=mnist_compression,compress_input=True,input_block_size=16,"
        "input_compression_factor=4,compression_option=9",
        global_step,
    )
    layer = applied.apply_compression(L.Linear(48, 20), "dense")
    assert layer(x).shape == L.Linear(48, 20)(x).shape


def test_a_convolution_is_trained_from_scratch_with_fewer_filters(random):
    """compression_op_test: testCompressedConv2DLayer.

    There the layer divides its 20 filters by ``rank``, 4 by default, and projects to all of them
    again. Here that is option 9's output side with blocks of all 20. (Channels come first.)
    """
    x = float32(random.random((10, 10, 4, 10)))
    applied = get_apply_compression(
        "name=mnist_compression,compress_input=False,compress_output=True,output_block_size=20,"
        "output_compression_factor=4,compression_option=9"
    )
    layer = applied.apply_compression(L.Convolution2D(10, 20, 3), "convolution")
    op = applied.get_last_compression_op()
    assert (op.c_matrix.shape, op.d_matrix.shape) == ((5, 10 * 9), (20, 5))
    inner = F.convolution_2d(x, op.c_matrix.array.reshape(5, 10, 3, 3)).array
    expected = np.einsum("njhw,mj->nmhw", inner, op.d_matrix.array)
    expected += layer.b.array[:, None, None]
    np.testing.assert_allclose(layer(x).array, expected, atol=1e-5)
    assert layer(x).shape == L.Convolution2D(10, 20, 3)(x).shape
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(layer)
    before = float(F.sum(layer(x) ** 2).array)
    for _ in range(5):
        optimizer.update(lambda: F.sum(layer(x) ** 2))
    assert float(F.sum(layer(x) ** 2).array) < before


@pytest.mark.parametrize(
    ("shape", "rank", "expected"),
    [((10, 20), 200, 5), ((20, 10), 200, 5), ((10, 20), 50, 10), ((9, 20), 200, 5)],
)
def test_the_rank_comes_from_the_smaller_side_rounded_up_and_never_grows(shape, rank, expected):
    """compression_op_utils_test: all three cases."""
    link = compressor_of(LowRankDecompMatrixCompressor, rank=rank).make_factors(shape, np.float32)
    assert link.b_matrix.shape == (shape[0], expected)
    assert link.c_matrix.shape == (expected, shape[1])


def test_simhash_begins_late_and_equals_its_compressor():
    """simhash_compression_op_test: testSimhashApplyCompression.

    The original asks the rank of the product to be half of A's, 1 of 2, which holds where the
    signs of both projections agree. Here ``b_matrix`` is never formed; k is 3 * 100 // 200 + 1.
    """
    applied, one, two = applied_twice(
        "name=cifar10_compression,begin_compression_step=1000,end_compression_step=2001,"
        "compression_frequency=100,compression_option=2,rank=200",
        JITTERED,
    )
    by_extension(applied, 30)
    assert (one.alpha, two.alpha, one.last_alpha_update_step) == (1, 1, -1)
    assert not is_zero(one.a_matrix.array)
    assert is_zero(one.factors.matrix().array)
    by_extension(applied, 2000)
    assert one.alpha == two.alpha == pytest.approx(0.99)
    assert one.last_alpha_update_step == 2000
    compressor = compressor_of(SimhashMatrixCompressor, rank=200)
    assert compressor.num_projections((3, 3)) == 2
    link = compressor.make_factors((3, 3), np.float32)
    link.assign(compressor.static_matrix_compressor(float32(JITTERED)))
    found = one.factors.matrix().array
    assert not is_zero(found)
    np.testing.assert_allclose(found, link.matrix().array, atol=1e-5)
    assert np.linalg.matrix_rank(found) <= 2


def test_k_means_falls_by_calls():
    """simhash_compression_op_test: testSimhashApplyCompressionKmeans."""
    applied, one, two = applied_twice(
        "name=cifar10_compression,begin_compression_step=1000,end_compression_step=2001,"
        "compression_frequency=100,compression_option=4,update_option=1,rank=2,block_size=3,"
        "pruning_fraction=0.0",
        JITTERED,
    )
    applied.run_update_step(30)
    assert (one.alpha, two.alpha, one.last_alpha_update_step) == (1, 1, -1)
    assert is_zero(one.factors.centroids.array)
    applied.run_update_step(2000)
    assert one.alpha == two.alpha == pytest.approx(0.99)
    assert one.last_alpha_update_step == 2000
    compressor = compressor_of(KmeansMatrixCompressor, rank=2, block_size=3)
    centroids = compressor.static_matrix_compressor(float32(JITTERED))[0]
    assert not is_zero(one.factors.centroids.array)
    np.testing.assert_allclose(one.factors.centroids.array, centroids, atol=1e-5)


def test_dictionary_learning_recovers_a_sparse_product(random):
    """dl_compression_op_test: test_DLDecompMatrixCompressor_interface."""
    b = random.normal(size=(20, 10))
    b[b <= 0.5] = 0
    b[:, 0] = 1
    a = b @ random.normal(size=(10, 5))
    compressor = DLMatrixCompressor()
    link = compressor.make_factors(a.shape, a.dtype)
    link.assign(compressor.static_matrix_compressor(a, n_iterations=32))
    assert np.linalg.norm(a - link.matrix().array) <= 0.1 * np.linalg.norm(a)


def test_dictionary_learning_falls_with_each_call_and_not_by_the_frequency(random):
    """dl_compression_op_test: both test_dl_compression_op_interface cases.

    Two calls at step 1001 and one at 2000 leave 0.97, though the frequency is 100. The original
    stores the code dense or as a sparse tensor; here it is values and their columns.
    """
    a = float32(random.normal(size=(20, 10)) @ random.normal(size=(10, 5)))
    compressor = compressor_of(DLMatrixCompressor, rank=200)
    op = op_of(
        "name=cifar10_compression,begin_compression_step=1000,end_compression_step=120000,"
        "compression_frequency=100,compression_option=3,rank=200,update_option=1",
        compressor, a,
    )  # fmt: skip
    assert not is_zero(op.a_matrix.array)
    assert is_zero(op.factors.dictionary.array)
    expected = compressor.make_factors(a.shape, a.dtype)
    expected.assign(compressor.static_matrix_compressor(a))
    for step, alpha in ((1001, 0.99), (1001, 0.98), (2000, 0.97)):
        op.run_update_step(step)
        assert op.alpha == pytest.approx(alpha)
        assert op.last_alpha_update_step == step
        assert not is_zero(op.factors.values.array)
        assert not is_zero(op.factors.dictionary.array)
        found = op.factors.matrix().array
        np.testing.assert_allclose(found, expected.matrix().array, atol=1e-5)


def test_a_codebook_has_the_levels_and_the_block_size(random):
    """kmeans_quantize_test: test_basic_kmeans_quantization.

    The original's encoding is ``(rows, columns / block_size)``; here it is flat.
    """
    codebook, encoding, _ = compressor_of(
        KmeansMatrixCompressor, rank=7, block_size=4
    ).static_matrix_compressor(random.normal(size=(20, 20)))
    assert codebook.shape == (7, 4)
    assert encoding.shape == (20 * 20 // 4,)


def test_well_separated_clusters_are_recovered(random):
    """kmeans_quantize_test: test_kmeans_quantization_gaussian_mixture."""
    centres = np.repeat([-5.0, 0.0, 5.0], 100)[:, None] * np.eye(4)[0]
    matrix = (random.normal(size=(300, 4)) + centres).reshape(-1, 20)
    codebook, encoding, _ = compressor_of(
        KmeansMatrixCompressor, rank=3, block_size=4
    ).static_matrix_compressor(matrix)
    recovered = codebook[encoding].reshape(matrix.shape)
    assert np.linalg.norm(recovered - matrix) / 300 < 0.2


def test_zero_blocks_stay_zero(random):
    """kmeans_quantize_test: test_block_quantize_with_zero_blocks.

    The original sets the centroid nearest to zero to zero, whatever blocks it stands for. Here
    blocks of zeros have a centroid of their own.
    """
    matrix = random.normal(size=(100, 4))
    matrix[:2] = 0
    codebook, encoding, _ = compressor_of(
        KmeansMatrixCompressor, rank=3, block_size=4
    ).static_matrix_compressor(matrix)
    recovered = codebook[encoding].reshape(matrix.shape)
    assert not recovered[:2].any()
    assert recovered[2:].any(axis=1).all()


@pytest.mark.parametrize(
    ("option", "kind", "compressor"),
    [
        (1, CompressionOp, LowRankDecompMatrixCompressor),
        (2, CompressionOp, SimhashMatrixCompressor),
        (8, PruningCompressionOp, None),
        (9, InputOutputCompressionOp, None),
        (10, BlockCompressionOp, None),
    ],
)
def test_an_option_makes_its_op_and_its_compressor(option, kind, compressor):
    """compression_wrapper_test: testWrapper_CreatesProperCompressorOption1 and ...Option2.

    For unknown options the original takes low rank; here they are refused.
    """
    hparams = CompressionOp.get_default_hparams().parse(
        "name=cifar10_compression,alpha_decrement_value=0.005,begin_compression_step=40000,"
        "end_compression_step=100000,compression_frequency=100,use_tpu=False,update_option=1,"
        "rank=4"
    )
    hparams.set_hparam("compression_option", option)
    hparams.set_hparam("input_block_size", 4)
    applied = get_apply_compression(hparams, 10)
    applied.apply_compression(chainer.Parameter(np.ones((8, 8), np.float32)))
    assert type(applied.get_last_compression_op()) is kind
    assert applied.get_operator_hparam("rank") == 4
    if compressor is not None:
        assert registered(CompressionOptions(option)).compressor is compressor
    hparams.set_hparam("compression_option", 11)
    with pytest.raises(ValueError, match="compression_option is 11; wanted one of"):
        get_apply_compression(hparams)


def test_beginnings_and_ends_are_refused_as_there():
    """compression_op: what ``_validate_spec`` refuses, and the end of -1 that it takes."""
    for begin, end in ((-1, 5), (5, 5), (6, 5), (0, -2)):
        with pytest.raises(ValueError, match="begin_compression_step is"):
            CompressionOp.get_default_hparams().parse(
                f"begin_compression_step={begin},end_compression_step={end}"
            )
    CompressionOp.get_default_hparams().parse("begin_compression_step=6,end_compression_step=-1")


def test_a_mask_is_updated_at_steps_2_4_and_6_and_counts_are_exact():
    """model_pruning's pruning_test: testConditionalMaskUpdate, with the linear sparsity it sets.

    There a histogram of 100 bins finds the threshold; here it is exact.
    """
    applied = get_apply_compression(
        "compression_option=8,pruning_frequency=2,begin_pruning_step=1,end_pruning_step=6,"
        "sparsity_function_exponent=1,target_sparsity=0.9,sparsity_function_end_step=9,"
        "begin_compression_step=1000"
    )
    weights = float32(np.linspace(1, 100, 100)).reshape(10, 10)
    applied.apply_compression(chainer.Parameter(weights))
    op, counts = applied.get_last_compression_op(), []
    for step in range(10):
        op.run_scheduled_update(step)
        counts.append(np.count_nonzero(op.get_apply_compression().array))
    assert counts == [100, 100, 80, 80, 60, 60, 40, 40, 40, 40]


def test_a_single_mask_leaves_5_of_100():
    """model_pruning's pruning_test: testUpdateSingleMask."""
    applied = get_apply_compression(
        "compression_option=8,initial_sparsity=0.95,target_sparsity=0.95,pruning_frequency=1,"
        "begin_compression_step=1000"
    )
    weights = float32(np.linspace(1, 100, 100)).reshape(10, 10)
    applied.apply_compression(chainer.Parameter(weights))
    op = applied.get_last_compression_op()
    np.testing.assert_array_equal(op.get_apply_compression().array, weights)
    op.run_scheduled_update(1)
    kept = op.get_apply_compression().array
    np.testing.assert_array_equal(kept[kept != 0], np.arange(96, 101))
