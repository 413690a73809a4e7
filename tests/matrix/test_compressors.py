import re

import numpy as np
import pytest
from sklearn.cluster import KMeans

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.code_table import CodeTable
from nncompress.matrix import (
    CompositionalMatrixCompressor,
    DLMatrixCompressor,
    KmeansMatrixCompressor,
    KmeansPruningMatrixCompressor,
    LowRankDecompMatrixCompressor,
    MatrixCompressorInferface,
    MatrixCompressorInterface,
    SimhashMatrixCompressor,
    compress_chain,
)
from nncompress.refinement import room

ALL = (
    LowRankDecompMatrixCompressor,
    SimhashMatrixCompressor,
    DLMatrixCompressor,
    KmeansMatrixCompressor,
    KmeansPruningMatrixCompressor,
)


def make(kind, **values):
    compressor = kind()
    compressor.get_spec().update(values)
    return compressor


def compress(kind, a, **values):
    """Returns the compressor, its factors and the matrix that they stand for."""
    compressor = make(kind, **values)
    factors = compressor.static_matrix_compressor(a)
    link = compressor.make_factors(a.shape, a.dtype)
    link.assign(factors)
    return compressor, factors, link.matrix().array


def matrices(random):
    yield "tall", random.normal(size=(60, 20))
    yield "wide", random.normal(size=(20, 60))
    yield "rank 3", random.normal(size=(30, 3)) @ random.normal(size=(3, 40))
    yield "zero", np.zeros((16, 24))
    yield "1 x n", random.normal(size=(1, 24))
    yield "n x 1", random.normal(size=(24, 1))


def test_the_originals_misspelling_is_an_alias():
    assert MatrixCompressorInferface is MatrixCompressorInterface


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_kinds_of_matrices_are_compressed(random, kind, dtype):
    for name, a in matrices(random):
        compressor, _, b = compress(kind, a.astype(dtype), rank=min(200, a.size))
        assert b.shape == a.shape, name
        assert b.dtype == dtype
        assert np.isfinite(b).all()
        assert compressor.uncompressed_size == a.size * np.dtype(dtype).itemsize
        stored = compressor.make_factors(a.shape, np.dtype(dtype)).stored_bytes
        assert compressor.compressed_size == stored
        if name == "zero":
            assert not b.any()
        # An approximation is nearer than nothing.
        assert np.linalg.norm(a - b) <= np.linalg.norm(a) + 1e-5


@pytest.mark.parametrize("kind", [*ALL, CompositionalMatrixCompressor])
def test_what_is_no_finite_matrix_is_refused(kind):
    compressor = make(kind, rank=200)
    for bad, message in [
        (np.full((4, 4), np.nan), "not finite"),
        (np.full((4, 4), np.inf), "not finite"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((0, 4)), "nonempty"),
        (np.zeros((4, 4), int), "type int64"),
    ]:
        with pytest.raises(ValueError, match=message):
            compressor.static_matrix_compressor(bad)
    assert compressor.default_matrix().shape == (10, 10)


@pytest.mark.parametrize("shape", [(50, 30), (30, 50), (300, 200), (200, 1_000)])
@pytest.mark.parametrize("rank", [100, 200, 1_000, 5_000, 50])
def test_low_rank_is_the_truncated_decomposition(random, shape, rank):
    a = random.normal(size=shape) @ np.diag(0.97 ** np.arange(shape[1]))
    _, (b, c), product = compress(LowRankDecompMatrixCompressor, a, rank=rank)
    k = min(int(np.ceil(min(shape) * 100 / rank)), min(shape))
    assert (b.shape, c.shape) == ((shape[0], k), (k, shape[1]))
    u, s, v = np.linalg.svd(a, full_matrices=False)
    best = (u[:, :k] * s[:k]) @ v[:k]
    optimum = np.linalg.norm(a - best)
    assert np.linalg.norm(a - product) <= optimum * 1.001 + 1e-9
    # Both factors carry the root of the singular values.
    np.testing.assert_allclose(np.linalg.norm(b, axis=0), np.linalg.norm(c, axis=1), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(b, axis=0) ** 2, s[:k], rtol=0.01)


@pytest.mark.parametrize("block_size", [1, 4])
def test_k_means_is_as_good_as_scikit_learns(random, block_size):
    a = random.normal(size=(40, 40))
    compressor, (centroids, numbers, has_zero), product = compress(
        KmeansMatrixCompressor, a, rank=12, block_size=block_size
    )
    assert centroids.shape == (12, block_size)
    assert numbers.dtype == np.uint8
    assert has_zero == 0
    blocks = a.reshape(-1, block_size)
    theirs = KMeans(12, n_init=1, random_state=15).fit(blocks)
    assert np.square(a - product).sum() == pytest.approx(theirs.inertia_, rel=1e-6)
    assert compressor.compressed_size == 12 * block_size * 8 + 1_600 // block_size // 2 + 1


def test_blocks_of_zeros_are_exactly_zero(random):
    a = random.normal(size=(20, 20))
    a[random.random((20, 20)) < 0.5] = 0
    _, (centroids, _, has_zero), product = compress(KmeansMatrixCompressor, a, rank=6)
    assert has_zero == 1
    assert (product[a == 0] == 0).all()
    assert (product[a != 0] != 0).all()
    assert not centroids[0].any()
    pruned = compress(KmeansPruningMatrixCompressor, a, rank=6, pruning_fraction=0.75)[2]
    assert (pruned == 0).sum() == 300
    kept = np.abs(a[pruned != 0]).min()
    assert kept >= np.abs(a[pruned == 0]).max()


def test_k_means_keeps_few_values_as_they_are():
    a = np.tile([[1.0, 2.0, 1.0], [2.0, 2.0, 0.0]], (60, 1))
    for rank, dtype in ((3, np.uint8), (300, np.uint16)):
        _, (_, numbers, _), product = compress(KmeansMatrixCompressor, a, rank=rank)
        np.testing.assert_allclose(product, a, rtol=1e-12)
        assert numbers.dtype == dtype


@pytest.mark.parametrize("kind", [KmeansMatrixCompressor, KmeansPruningMatrixCompressor])
def test_more_centroids_than_blocks_are_refused_before_they_take_memory(kind):
    compressor = make(kind, rank=10**15, block_size=5)
    message = r"rank is 10{15}, which is more centroids than the 7 blocks of a matrix of shape"
    with pytest.raises(ValueError, match=message):
        compressor.make_factors((7, 5), np.float32)
    with pytest.raises(ValueError, match=message):
        compressor.static_matrix_compressor(np.ones((7, 5)))
    compressor.get_spec().rank = 7
    assert compressor.make_factors((7, 5), np.float32).centroids.shape == (7, 5)


def test_block_sizes_that_do_not_divide_are_refused():
    compressor = make(KmeansMatrixCompressor, block_size=5, rank=4)
    with pytest.raises(ValueError, match="block_size is 5, which does not divide the 12 entries"):
        compressor.static_matrix_compressor(np.ones((3, 4)))
    with pytest.raises(ValueError, match="wanted at least 2"):
        make(KmeansMatrixCompressor, rank=1).static_matrix_compressor(np.eye(3))


def test_compositional_codes_are_sums_of_codewords(random):
    centres = random.normal(size=(12, 24))
    a = centres[random.integers(12, size=300)] + 0.1 * random.normal(size=(300, 24))
    for dtype in (np.float32, np.float64):
        compressor, (codebook, packed), product = compress(
            CompositionalMatrixCompressor, a.astype(dtype), rank=400, num_codewords=8
        )
        m = compressor.num_codebooks(a.shape, dtype)
        assert compressor.compressed_size <= compressor.uncompressed_size / 4
        table = CodeTable(packed, codebook.astype(np.float32), m)
        np.testing.assert_allclose(product, table.decode(slice(None)), atol=1e-5)
        assert np.linalg.norm(a - product) < 0.2 * np.linalg.norm(a)
    chosen = make(CompositionalMatrixCompressor, num_codebooks=3)
    assert chosen.num_codebooks((300, 24), np.float32) == 3


@pytest.mark.parametrize(("shape", "rank"), [((4, 4), 400), ((300, 24), 2_000), ((9, 9), 10**20)])
def test_if_no_codebook_fits_the_largest_rank_that_leaves_one_is_told(shape, rank):
    def num_codebooks(rank):
        return make(CompositionalMatrixCompressor, rank=rank).num_codebooks(shape, np.float32)

    with pytest.raises(ValueError, match=r"num_codewords 16 takes .* wanted") as refused:
        num_codebooks(rank)
    told = re.search(r"wanted rank at most (\d+), fewer num_codewords", str(refused.value))
    assert (told is None) == (shape != (300, 24))  # where one codebook is larger than the matrix
    if told is not None:
        largest = int(told[1])
        assert num_codebooks(largest) == 1
        with pytest.raises(ValueError, match="wanted rank at most"):
            num_codebooks(largest + 1)


@pytest.mark.parametrize("sizes", [(1, 65_536), (10**12, 16)])
def test_codebooks_without_the_memory_to_find_them_are_refused_at_once(sizes, monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: 1 << 30)
    hparams = "compression_option=5,num_codebooks={},num_codewords={}".format(*sizes)
    with pytest.raises(ValueError, match=r"fc: refining with .* takes about .* bytes of memory"):
        compress_chain(chainer.Chain(fc=chainer.links.Linear(16, 16)), hparams)


@pytest.mark.parametrize("shape", [(1, 400), (64, 3), (40, 60)])
def test_compositional_codes_of_odd_matrices(random, shape):
    for a in (random.normal(size=shape), np.zeros(shape)):
        product = compress(CompositionalMatrixCompressor, a, num_codebooks=4, num_codewords=4)[2]
        assert np.linalg.norm(a - product) <= np.linalg.norm(a) + 1e-9
