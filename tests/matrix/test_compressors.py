import numpy as np
import pytest
from sklearn.cluster import KMeans

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
)
from nncompress.matrix.methods.simhash import SEED, projection_blocks

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
        compressor, _, b = compress(kind, a.astype(dtype), rank=200)
        assert b.shape == a.shape, name
        assert b.dtype == dtype
        assert np.isfinite(b).all()
        assert compressor.uncompressed_size == a.size * np.dtype(dtype).itemsize
        stored = compressor.make_factors(a.shape, np.dtype(dtype)).stored_bytes
        assert compressor.compressed_size == stored
        if name == "zero":
            assert not b.any()
        # An approximation is nearer than nothing; signs keep lengths, if few, and little else.
        worst = 2.0 if kind is SimhashMatrixCompressor else 1.0
        assert np.linalg.norm(a - b) <= worst * np.linalg.norm(a) + 1e-5


@pytest.mark.parametrize("kind", [*ALL, CompositionalMatrixCompressor])
def test_what_is_no_finite_matrix_is_refused(kind):
    compressor = make(kind, rank=200)
    for bad, message in [
        (np.full((4, 4), np.nan), "not finite"),
        (np.full((4, 4), np.inf), "not finite"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((0, 4)), "not empty"),
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


def test_simhash_is_the_formula(random, monkeypatch):
    monkeypatch.setattr("nncompress.matrix.methods.simhash._BLOCK_BYTES", 4 * 30 * 7)
    a = random.normal(size=(30, 45))
    a[:, 3] = 0
    compressor, (signs, scales, seed), product = compress(SimhashMatrixCompressor, a, rank=150)
    k = 30 * 100 // 150 + 1
    assert compressor.num_projections(a.shape) == k
    assert signs.shape == (3, 45)
    assert int(seed) == SEED
    blocks = list(projection_blocks(SEED, 30, k))
    assert [columns.stop - columns.start for columns, _ in blocks] == [7, 7, 7]
    r = np.concatenate([block for _, block in blocks], axis=1).astype(np.float64)
    s = np.where(r.T @ a >= 0, 1.0, -1.0)
    np.testing.assert_array_equal(np.unpackbits(signs, axis=0, bitorder="little")[:k], s > 0)
    d = np.linalg.norm(a, axis=0) / np.linalg.norm(r @ s, axis=0)
    np.testing.assert_allclose(scales, d, rtol=1e-9)
    np.testing.assert_allclose(product, r @ s * d, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(product, axis=0), np.linalg.norm(a, axis=0), rtol=1e-6
    )


def test_simhash_comes_near_the_matrix_with_many_signs(random):
    a = random.normal(size=(20, 50))
    errors = [
        np.linalg.norm(a - compress(SimhashMatrixCompressor, a, rank=rank)[2])
        for rank in (100, 20, 2)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.8 * np.linalg.norm(a)


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
    a = np.array([[1.0, 2.0, 1.0], [2.0, 2.0, 0.0]])
    assert (compress(KmeansMatrixCompressor, a, rank=300)[2] == a).all()
    _, (_, numbers, _), _ = compress(KmeansMatrixCompressor, a, rank=300)
    assert numbers.dtype == np.uint16


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
    with pytest.raises(ValueError, match="num_codebooks is 0 with num_codewords 16"):
        make(CompositionalMatrixCompressor, rank=400).static_matrix_compressor(np.ones((4, 4)))


@pytest.mark.parametrize("shape", [(1, 400), (64, 3), (40, 60)])
def test_compositional_codes_of_odd_matrices(random, shape):
    for a in (random.normal(size=shape), np.zeros(shape)):
        product = compress(CompositionalMatrixCompressor, a, num_codebooks=4, num_codewords=4)[2]
        assert np.linalg.norm(a - product) <= np.linalg.norm(a) + 1e-9
