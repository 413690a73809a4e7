"""The links of factors against the matrix that they stand for."""

import copy
import functools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.packing import Packing
from nncompress.machine import Team
from nncompress.matrix.functions import derived, team
from nncompress.matrix.methods.compositional import CompositionalFactors
from nncompress.matrix.methods.interface import ProductFactors
from nncompress.matrix.methods.kmeans import KmeansFactors
from nncompress.matrix.methods.simhash import SimhashFactors, projection_blocks
from nncompress.matrix.methods.sparse_factors import SparseFactors

F = chainer.functions


class LowRank:
    """B C, and what it is in NumPy."""

    def __init__(self, random, m, n, dtype, size):
        k = 1 + size % min(m, n)
        factors = random.normal(size=(m, k)), random.normal(size=(k, n))
        self.link = ProductFactors((m, n), dtype, (m, k), (k, n))
        self.link.assign(factors)
        self.matrix = factors[0] @ factors[1]
        self.bytes = np.dtype(dtype).itemsize * k * (m + n)


class Simhash:
    """R S D."""

    def __init__(self, random, m, n, dtype, size):
        k = 1 + size
        signs, scales = random.random((k, n)) < 0.5, random.normal(size=n)
        self.link = SimhashFactors((m, n), dtype, k)
        packed = np.packbits(signs, axis=0, bitorder="little")
        self.link.assign([packed, scales, np.array(5)])
        r = np.concatenate([block for _, block in projection_blocks(5, m, k)], axis=1)
        self.matrix = r.astype(np.float64) @ np.where(signs, 1, -1) * scales
        self.bytes = -(-k // 8) * n + np.dtype(dtype).itemsize * n + 8


class Sparse:
    """Sparse codes and a dictionary."""

    def __init__(self, random, m, n, dtype, size):
        k, s = self.sizes(size)
        columns = np.argsort(random.random((m, k)), axis=1)[:, :s].astype(np.int32)
        values, dictionary = random.normal(size=(m, s)), random.normal(size=(k, n))
        self.link = SparseFactors((m, n), dtype, k, s)
        self.link.assign([values, columns, dictionary])
        code = np.zeros((m, k))
        np.put_along_axis(code, columns, values, axis=1)
        self.matrix = code @ dictionary
        bits = int(np.ceil(np.log2(k))) if s < k else 0
        self.bytes = np.dtype(dtype).itemsize * (m * s + k * n) + m * -(-s * bits // 8)

    @staticmethod
    def sizes(size):
        """Returns the number of the dictionary's rows, and how many of them a row uses."""
        return 2 + size, 1 + size // 3


class Dense(Sparse):
    """Codes that use all of a dictionary: no columns are stored."""

    @staticmethod
    def sizes(size):
        return 1 + size, 1 + size


class Kmeans:
    """Centroids of blocks, which may go on in the next row."""

    def __init__(self, random, m, n, dtype, size):
        count = 2 + size
        block = next(b for b in (6, 5, 4, 3, 2, 1) if m * n % b == 0 and b <= 1 + size)
        numbers = random.integers(count, size=m * n // block)
        centroids = random.normal(size=(count, block))
        centroids[0] *= 1 - size % 2
        self.link = KmeansFactors((m, n), dtype, count, block)
        self.link.assign([centroids, numbers, np.array(size % 2, np.uint8)])
        self.matrix = centroids[numbers].reshape(m, n)
        bits = int(np.ceil(np.log2(count)))
        packed = -(-len(numbers) // 8) * bits
        self.bytes = np.dtype(dtype).itemsize * count * block + packed + 1


class Compositional:
    """Codes and a codebook."""

    def __init__(self, random, m, n, dtype, size):
        groups, k = 1 + size // 2, 2 + size
        codes, codebook = random.integers(k, size=(m, groups)), random.normal(size=(groups * k, n))
        packing = Packing(groups, int(np.ceil(np.log2(k))))
        self.link = CompositionalFactors((m, n), dtype, groups, k)
        self.link.assign([codebook, packing.pack(codes)])
        self.matrix = sum(codebook[g * k + codes[:, g]] for g in range(groups))
        self.bytes = np.dtype(dtype).itemsize * codebook.size + m * packing.row_bytes


KINDS = (LowRank, Simhash, Sparse, Dense, Kmeans, Compositional)
kinds = pytest.mark.parametrize("kind", KINDS)
sizes = st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(0, 20))


def close(found, expected, dtype=np.float32):
    tolerance = 1e-4 if dtype == np.float32 else 1e-5  # R is float32
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


@kinds
@settings(deadline=None, max_examples=25)
@given(sizes, st.sampled_from([np.float32, np.float64]), st.integers(0, 40), st.booleans())
def test_products_and_rows_are_those_of_the_matrix(kind, size, dtype, batch, training):
    random = np.random.default_rng(batch)
    m, n, rest = size
    made = kind(random, m, n, dtype, rest)
    x, bias = random.normal(size=(batch, n)).astype(dtype), random.normal(size=m).astype(dtype)
    ids = random.integers(-m, m, size=batch)
    with chainer.using_config("enable_backprop", training):
        found = [
            made.link.matrix(), made.link.matmul(x), made.link.matmul(x, bias),
            made.link.lookup(ids),
        ]  # fmt: skip
    product = x @ made.matrix.T
    expected = [made.matrix, product, product + bias, made.matrix[ids]]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        assert one.shape == other.shape
        close(one.array, other, dtype)
    assert made.link.stored_bytes == made.bytes


def total(made, x, bias, ids, weights):
    """Returns a number that depends on all ways through factors."""
    outputs = made.link.matmul(x, bias), made.link.lookup(ids), made.link.matrix()
    return sum(F.sum(output * weight) for output, weight in zip(outputs, weights, strict=True))


def differences(function, array):
    """Returns the gradient of a function of an array that is linear in each number."""
    found = np.empty_like(array)
    for index in np.ndindex(array.shape):
        old, values = array[index], []
        for step in (0.5, -0.5):
            array[index] = old + step
            values.append(float(function().array))
        array[index] = old
        found[index] = values[0] - values[1]
    return found


@kinds
@pytest.mark.parametrize("size", [(1, 1, 0), (7, 9, 3), (5, 12, 6)])
@pytest.mark.parametrize("batch", [1, 6])
def test_gradients_are_those_of_numerical_differentiation(kind, size, batch):
    """In float64 by differences, and in float32 those of float64."""
    m, n, rest = size
    found = {}
    for dtype in (np.float64, np.float32):
        random = np.random.default_rng(3)
        made = kind(random, m, n, dtype, rest)
        x, bias, *weights = (
            random.normal(size=shape).astype(dtype)
            for shape in ((batch, n), (m,), (batch, m), (8, n), (m, n))
        )
        arguments = chainer.Parameter(x), chainer.Parameter(bias), random.integers(-m, m, size=8)
        params = [*arguments[:2], *(param for _, param in sorted(made.link.namedparams()))]
        made.link.cleargrads()
        total(made, *arguments, weights).backward()
        found[dtype] = [param.grad for param in params]
        assert all(gradient.dtype == dtype for gradient in found[dtype])
        if dtype == np.float64:
            for param in params:
                with chainer.no_backprop_mode():
                    function = functools.partial(total, made, *arguments, weights)
                    numerical = differences(function, param.array)
                np.testing.assert_allclose(param.grad, numerical, rtol=1e-6, atol=1e-6)
    for one, other in zip(*found.values(), strict=True):
        close(other, one)


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(6, 8), (12, 4)])
def test_gradients_lie_in_memory_as_parameters_do(random, kind, dtype, size):
    """ChainerMN loses what it adds up in others."""
    m, n = size
    link = kind(random, m, n, dtype, 4).link
    x, images = (random.normal(size=s).astype(dtype) for s in ((3, n), (2, n, 3, 3)))
    for make_result in (
        lambda: link.matmul(x),
        lambda: link.lookup(np.array([1, 1, 5])),
        lambda: link.convolve(images, (m, n, 1, 1)),
        lambda: link.matrix(),
        lambda: F.transpose(link.matrix()),
    ):
        link.cleargrads()
        F.sum(make_result() ** 2).backward()
        for param in link.params():
            assert param.grad.flags.c_contiguous, param.name
            assert param.grad.flags.writeable


@kinds
def test_rows_that_there_are_none_of_are_refused(random, kind):
    made = kind(random, 6, 8, np.float32, 4)
    for bad in (6, -7):
        with pytest.raises(IndexError):
            made.link.lookup(np.array([0, bad]))


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_are_read_back_from_a_file(kind, dtype, tmp_path):
    made, other = (kind(np.random.default_rng(seed), 10, 12, dtype, 7) for seed in (1, 2))
    x = np.ones((1, 12), dtype)
    with chainer.no_backprop_mode():
        other.link.matmul(x), other.link.matrix()  # what is derived now is out of date later
    chainer.serializers.save_npz(tmp_path / "factors.npz", made.link, compression=False)
    with np.load(tmp_path / "factors.npz") as archive:
        stored = sum(archive[name].nbytes for name in archive.files)
    assert stored == made.link.stored_bytes
    chainer.serializers.load_npz(tmp_path / "factors.npz", other.link)
    with chainer.no_backprop_mode():
        assert (other.link.matrix().array == made.link.matrix().array).all()
        assert (other.link.matmul(x).array == made.link.matmul(x).array).all()


@kinds
def test_what_is_derived_follows_what_it_is_derived_from(kind):
    """Through copies, new factors and training."""
    made, other = (kind(np.random.default_rng(seed), 9, 8, np.float32, 6) for seed in (1, 2))
    x = np.ones((1, 8), np.float32)

    def agrees(link, matrix):
        with chainer.no_backprop_mode():
            close(link.matrix().array, matrix)
            close(link.matmul(x).array, x @ matrix.T)

    agrees(made.link, made.matrix)
    copies = [
        copy.deepcopy(made.link), made.link.copy(), pickle.loads(pickle.dumps(made.link)),
    ]  # fmt: skip
    for each in copies:
        agrees(each, made.matrix)
    with chainer.no_backprop_mode():
        other.link.matmul(x)
    other.link.copyparams(made.link)
    agrees(other.link, made.matrix)
    for param in made.link.params():
        param.array *= 2  # as an optimizer does it
    twice = 4 if kind in (LowRank, Sparse, Dense) else 2
    agrees(made.link, twice * made.matrix)


def test_results_do_not_depend_on_the_number_of_threads(random, monkeypatch):
    for kind in KINDS:
        made = kind(np.random.default_rng(1), 29, 8, np.float32, 14)
        x = random.normal(size=(20, 8)).astype(np.float32)
        ids = random.integers(29, size=17)

        def results(link=made.link, x=x, ids=ids):
            return link.matmul(x).array, link.matmul(x[:1]).array, link.lookup(ids).array

        alone = results()
        monkeypatch.setattr(team, "_WORTHWHILE", 2)
        monkeypatch.setattr(team, "_teams", [Team(3)])
        together = results()
        monkeypatch.undo()
        for one, other in zip(alone, together, strict=True):
            assert (one == other).all()


@pytest.mark.parametrize("kind", [Kmeans, Simhash])
def test_a_matrix_is_made_once_where_memory_allows_and_each_time_where_not(
    random, kind, monkeypatch, caplog
):
    made = kind(random, 30, 20, np.float32, 5)
    x = np.ones((2, 20), np.float32)
    module = "shared_blocks.decode" if kind is Kmeans else "simhash.SimhashFactors._project"
    counted = []

    def run(free):
        monkeypatch.setattr(derived, "free_memory", lambda: free)
        made.link.derived = derived.DerivedArrays()
        counted.clear()
        results = [made.link.matmul(x).array for _ in range(3)]  # as the steps of an LSTM
        with chainer.no_backprop_mode():
            results.append(made.link.matmul(x).array)
        assert all((result == results[0]).all() for result in results)
        return results[0], len(counted)

    _count(monkeypatch, module, counted)
    kept, times = run(1 << 30)
    assert times == 1
    assert f"30 x 20 is kept, {30 * 20 * 4:,} bytes" in caplog.text
    again, times = run(100)
    assert times == 4
    assert caplog.text.count("is computed each time") == 1
    assert (kept == again).all()


def _count(monkeypatch, name, counted):
    """Has calls of a function counted."""
    from nncompress.matrix.functions import shared_blocks
    from nncompress.matrix.methods import simhash

    owner, attribute = {
        "shared_blocks.decode": (shared_blocks, "decode"),
        "simhash.SimhashFactors._project": (simhash.SimhashFactors, "_project"),
    }[name]
    function = getattr(owner, attribute)

    def wrapper(*arguments):
        counted.append(1)
        return function(*arguments)

    monkeypatch.setattr(owner, attribute, wrapper)


def test_what_is_kept_is_not_written_to(random):
    made = Kmeans(random, 6, 8, np.float32, 4)
    with chainer.no_backprop_mode(), pytest.raises(ValueError, match="read-only"):
        made.link.matrix().array[0, 0] = 1


def test_factors_of_other_shapes_are_refused(random):
    with pytest.raises(ValueError, match="expected the numbers of 48 blocks, got 3"):
        KmeansFactors((6, 8), np.float32, 4, 1).assign([np.ones((4, 1)), np.zeros(3, int), 0])
    with pytest.raises(ValueError, match=r"expected values and columns of shape \(6, 2\)"):
        SparseFactors((6, 8), np.float32, 4, 2).assign(
            [np.ones((6, 2)), np.zeros((6, 3), int), np.ones((4, 8))]
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_beyond_what_there_is_are_refused(random, dtype, tmp_path):
    """They would have kernels read memory that is somebody else's."""
    made = Sparse(random, 6, 8, dtype, 7), Kmeans(random, 6, 8, dtype, 3)
    made += (Compositional(random, 6, 8, dtype, 4),)
    for each, name in zip(made, ("columns", "numbers", "codes"), strict=True):
        path = tmp_path / f"{name}.npz"
        chainer.serializers.save_npz(path, each.link)
        with np.load(path) as archive:
            arrays = {key: archive[key] for key in archive.files}
        arrays[name][...] = 255
        np.savez(path, **arrays)
        chainer.serializers.load_npz(path, each.link)
        for use in (
            each.link.matrix,
            lambda link=each.link: link.lookup(np.array([1])),
            lambda link=each.link: link.matmul(np.ones((2, 8), dtype)),
        ):
            with pytest.raises(ValueError, match=r"code of \d+; wanted codes below .* damaged"):
                use()
