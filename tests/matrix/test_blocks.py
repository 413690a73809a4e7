"""Options 9, 10 and 12: factors that are trained from scratch, beside their plain formulas."""

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import compress_chain, finalize, get_apply_compression, load_finalized

F, L = chainer.functions, chainer.links

INPUT_OUTPUT = {
    "both sides": "compress_output=True,output_compression_factor=2,output_block_size=4",
    "input alone": "compress_output=False",
    "output alone": "compress_input=False,input_compression_factor=1,compress_output=True,"
    "output_compression_factor=2,output_block_size=4",
}
OPTIONS = {
    **{
        f"input-output, {sides}": "compression_option=9,input_compression_factor=2,"
        f"input_block_size=4,{hparams}"
        for sides, hparams in INPUT_OUTPUT.items()
    },
    "blocks": "compression_option=10,block_compression_factor=4",
    "blocks in a matrix": "compression_option=10,block_compression_factor=4,block_method=mask",
    "mixed blocks": "compression_option=12,compression_factor=4,num_bases=3",
}


def parsed(hparams):
    """Returns hyperparameters whose later values win, as a dictionary's do."""
    return ",".join(
        f"{name}={value}"
        for name, value in dict(part.split("=") for part in hparams.split(",")).items()
    )


def make(name, shape=(12, 16), dtype=np.float64):
    applied = get_apply_compression(parsed(OPTIONS[name]))
    applied.apply_compression(chainer.Parameter(np.zeros(shape, dtype)), "test")
    return applied.get_last_compression_op()


def formula(name, op):
    """Returns the matrix, by definition."""
    m, n = op.shape
    if name.startswith("input-output"):
        matrix = op.c_matrix.array
        if op.b_matrix is not None:
            b = op.b_matrix.array
            matrix = matrix @ np.kron(np.eye(n // b.shape[1]), b)
        if op.d_matrix is not None:
            d = op.d_matrix.array
            matrix = np.kron(np.eye(m // len(d)), d) @ matrix
        return matrix
    matrix = np.zeros(op.shape)
    if name.startswith("blocks"):
        for i, block in enumerate(op.c_matrix.array):
            rows, columns = block.shape
            matrix[i * rows : (i + 1) * rows, i * columns : (i + 1) * columns] = block
        return matrix
    blocks, mixer = op.block_matrices.array, op.linear_mixer.array
    for i in range(4):
        for j in range(4):
            for k in range(mixer.shape[2]):
                rows = slice(i * (m // 4), (i + 1) * (m // 4))
                matrix[rows, j::4] += mixer[i, j, k] * blocks[:, j]
    return matrix


@pytest.mark.parametrize("name", OPTIONS)
def test_products_rows_and_convolutions_are_those_of_the_formula(random, name):
    op = make(name)
    matrix = formula(name, op)
    np.testing.assert_allclose(op.get_apply_compression().array, matrix, atol=1e-12)
    x, bias = random.normal(size=(2, 5, 16)), random.normal(size=12)
    for operand in (x, x[0], x[0, 0], x[:, :0]):
        product = op.get_apply_matmul(operand).array
        np.testing.assert_allclose(product, operand @ matrix.T, atol=1e-12)
        product = op.get_apply_matmul(operand, bias).array
        np.testing.assert_allclose(product, operand @ matrix.T + bias, atol=1e-12)
    for ids in (np.array([[3, 3], [11, -1]]), np.array([-12]), np.zeros((0, 2), int)):
        np.testing.assert_allclose(
            op.get_apply_embedding_lookup(ids).array, matrix[ids], atol=1e-12
        )
    images = random.normal(size=(2, 4, 6, 5))
    options = {"b": bias, "stride": (2, 1), "pad": 1, "dilate": (1, 2)}
    for kernel in ((12, 4, 2, 2), (12, 2, 4, 2), (12, 1, 4, 4)):
        inputs = images[:, : kernel[1]]
        expected = F.convolution_2d(inputs, matrix.reshape(kernel), **options).array
        y = op.get_apply_convolution(inputs, kernel, **options).array
        np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_are_those_of_the_formula(random, name):
    op = make(name)
    matrix = formula(name, op)
    ids = np.array([1, 1, -2, 7])
    images = random.normal(size=(2, 4, 5, 4))
    x = chainer.Variable(random.normal(size=(3, 16)))
    bias = chainer.Variable(random.normal(size=12))
    aim, rows_aim = random.normal(size=(3, 12)), random.normal(size=(4, 16))
    images_aim = random.normal(size=(2, 12, 4, 3))

    def loss():
        y = op.get_apply_matmul(x, bias)
        rows = op.get_apply_embedding_lookup(ids)
        convolved = op.get_apply_convolution(images, (12, 4, 2, 2))
        return F.sum(y * aim) + F.sum(rows * rows_aim) + F.sum(convolved * images_aim)

    op.cleargrads()
    loss().backward()
    np.testing.assert_allclose(x.grad, aim @ matrix, atol=1e-10)
    np.testing.assert_allclose(bias.grad, aim.sum(axis=0), atol=1e-10)
    for param in op.params():  # the loss is linear in each of them
        at = float(loss().array)
        direction = random.normal(size=param.shape)
        old = param.array.copy()
        param.array += direction
        change = float(loss().array) - at
        param.array[...] = old
        assert change == pytest.approx(float((param.grad * direction).sum()), abs=1e-8)


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_lie_in_memory_as_parameters_do(random, name):
    op = make(name)
    x, images = random.normal(size=(3, 16)), random.normal(size=(2, 4, 5, 4))
    for make_result in (
        lambda: op.get_apply_matmul(x),
        lambda: op.get_apply_embedding_lookup(np.array([1, 1, 7])),
        lambda: op.get_apply_convolution(images, (12, 4, 2, 2)),
        lambda: op.get_apply_compression() * random.normal(size=op.shape),
    ):
        op.cleargrads()
        F.sum(make_result() ** 2).backward()
        for param in op.params():  # ChainerMN loses what it adds up in others
            assert param.grad.flags.c_contiguous, param.name
            assert param.grad.flags.writeable


def test_more_bases_than_the_matrix_has_room_for_are_refused_before_they_take_memory():
    model = chainer.Chain(fc=L.Linear(16, 12))
    hparams = "compression_option=12,compression_factor=4,num_bases={}"
    with pytest.raises(ValueError, match=r"fc: num_bases is 10{15}, .* wanted at most 12"):
        compress_chain(model, hparams.format(10**15))
    compress_chain(model, hparams.format(12))


@pytest.mark.parametrize("name", OPTIONS)
def test_hooks_of_an_optimizer_change_gradients(random, name):
    model = chainer.Sequential(L.Linear(16, 12))
    compress_chain(model, parsed(OPTIONS[name]))
    optimizer = chainer.optimizers.SGD(0.5).setup(model)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))
    x = random.normal(size=(3, 16)).astype(np.float32)
    model.cleargrads()
    F.sum(model(x)).backward()
    parameters = list(model.params())
    expected = [p.array - 0.5 * (p.grad + 0.1 * p.array) for p in parameters]
    optimizer.update(lambda: F.sum(model(x)))
    for parameter, values in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(parameter.array, values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_stored_is_what_is_counted_and_is_read_again(random, name, tmp_path):
    def model():
        return chainer.Sequential(L.Linear(16, 12), F.relu, L.Linear(12, 12))

    made = model()
    applied = compress_chain(made, parsed(OPTIONS[name]))
    x = random.normal(size=(3, 16)).astype(np.float32)
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(made)
    before = float(F.sum(made(x) ** 2).array)
    for _ in range(20):
        optimizer.update(lambda: F.sum(made(x) ** 2))
    assert float(F.sum(made(x) ** 2).array) < before
    finalize(made)
    path = tmp_path / "final.npz"
    chainer.serializers.save_npz(path, made, compression=False)
    with np.load(path) as archive:
        stored = sum(archive[key].nbytes for key in archive.files)
    assert stored == applied.compressed_size + 2 * 12 * 4
    again = model()
    compress_chain(again, parsed(OPTIONS[name]))
    load_finalized(path, again)
    assert (again(x).array == made(x).array).all()


def test_sizes_shrink_by_the_factors():
    for name, expected in (
        ("input-output, both sides", 6 * 8 + 2 * 4 + 4 * 2),
        ("input-output, input alone", 12 * 8 + 2 * 4),
        ("input-output, output alone", 6 * 16 + 4 * 2),
        ("blocks", 12 * 16 // 4),
        ("blocks in a matrix", 12 * 16 // 4),
        ("mixed blocks", 12 * 16 // 4 + 4 * 4 * 3),
    ):
        assert make(name).compressed_size == 8 * expected


def test_initial_values_are_within_the_originals_limits_and_follow_numpys_seed():
    def values(name):
        np.random.seed(5)
        return {path: param.array for path, param in make(name, (48, 64)).namedparams()}

    limits = {
        "input-output, both sides": {
            "b_matrix": np.sqrt(3 / ((4 + 2) / 2)),
            "c_matrix": np.sqrt(3 / ((24 + 32) / 4)),
            "d_matrix": np.sqrt(3 / ((4 + 2) / 2)),
        },
        "blocks": {"c_matrix": np.sqrt(3 / ((48 + 64) / 8))},
        "mixed blocks": {
            "block_matrices": np.sqrt(3 / ((48 + 64) / 2)), "linear_mixer": np.sqrt(3 / 4)
        },
    }  # fmt: skip
    for name, of_name in limits.items():
        found = values(name)
        assert {path.lstrip("/") for path in found} == set(of_name)
        for path, limit in of_name.items():
            array = found[f"/{path}"]
            assert 0.6 * limit < np.abs(array).max() <= limit
        again = values(name)
        assert all((found[path] == again[path]).all() for path in found)


@pytest.mark.parametrize(
    ("hparams", "message"),
    [
        ("compression_option=10,block_compression_factor=8", "block_compression_factor is 8; wan"),
        ("compression_option=10,block_compression_factor=3", "divides the 16 columns of the matr"),
        ("compression_option=12,compression_factor=5", "compression_factor is 5; wanted a number"),
        ("compression_option=9,input_block_size=5", "input_block_size is 5 and input_compression"),
        (
            "compression_option=9,input_block_size=4,input_compression_factor=3",
            "a factor that divides the block size",
        ),
        (
            "compression_option=9,input_block_size=4,output_compression_factor=2",
            "output_compression_factor is 2 with compress_output=False",
        ),
        (
            "compression_option=9,compress_input=False,input_compression_factor=2",
            "input_compression_factor is 2 with compress_input=False",
        ),
    ],
)
def test_sizes_that_do_not_divide_are_refused(hparams, message):
    applied = get_apply_compression(hparams)
    with pytest.raises(ValueError, match=message):
        applied.apply_compression(chainer.Parameter(np.zeros((12, 16), np.float32)))


@pytest.mark.parametrize("name", OPTIONS)
def test_links_compute_with_the_matrix_that_they_show(random, name):
    applied = get_apply_compression(parsed(OPTIONS[name]))
    linear = applied.apply_compression(L.Linear(16, 12), "linear")
    convolution = applied.apply_compression(L.Convolution2D(4, 12, 2, 2, 1), "convolution")
    embedding = applied.apply_compression(L.EmbedID(12, 16), "embedding")
    x = random.normal(size=(3, 16)).astype(np.float32)
    images = random.normal(size=(2, 4, 5, 6)).astype(np.float32)
    ids = np.array([[3, 0], [11, 3]], dtype=np.int32)
    for found, expected in (
        (linear(x), F.linear(x, linear.W, linear.b)),
        (convolution(images), F.convolution_2d(images, convolution.W, convolution.b, 2, 1)),
        (embedding(ids), F.embed_id(ids, embedding.W)),
    ):
        np.testing.assert_allclose(found.array, expected.array, atol=1e-5)
