import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp_gram

from nncompress.cpu import pursuit, sparse_rows
from nncompress.embedding.packing import Packing, bits_for
from nncompress.machine import Team
from nncompress.matrix import DLMatrixCompressor
from nncompress.matrix.methods import dictionary_fit
from nncompress.matrix.methods.dictionary_fit import learn


def compressor_of(rank):
    compressor = DLMatrixCompressor()
    compressor.get_spec().set_hparam("rank", rank)
    return compressor


def dense(values, columns, num_atoms):
    rows = np.zeros((len(values), num_atoms))
    np.put_along_axis(rows, columns.astype(np.int64), values, axis=1)
    return rows


def unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pursued(a, dictionary, count, threads=1):
    values = np.empty((len(a), count), a.dtype)
    columns = np.empty((len(a), count), np.int32)
    limits = np.zeros(len(a), a.dtype)
    gram = dictionary @ dictionary.T
    Team(threads).run(
        pursuit.pursue, threads, a @ dictionary.T, gram, limits, 1e-9, values, columns
    )
    return values, columns


def theirs(a, dictionary, count):
    """Returns scikit-learn's codes, ``(m, k)``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = orthogonal_mp_gram(
            dictionary @ dictionary.T, dictionary @ a.T, n_nonzero_coefs=count
        )
    return found.reshape(len(dictionary), len(a)).T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "num_atoms", "count"),
    [
        ((200, 20), 60, 7),
        ((30, 40), 25, 12),
        ((50, 16), 1_500, 5),
        ((40, 9), 9, 9),
        ((9, 1), 3, 1),
    ],
)
def test_pursuit_is_scikit_learns(random, dtype, shape, num_atoms, count):
    a = random.normal(size=shape).astype(dtype)
    dictionary = unit_rows(random.normal(size=(num_atoms, shape[1]))).astype(dtype)
    values, columns = pursued(a, dictionary, count)
    expected = theirs(a.astype(np.float64), dictionary.astype(np.float64), count)
    found = dense(values, columns, num_atoms)
    np.testing.assert_array_equal(found != 0, expected != 0)
    tolerance = 1e-8 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@settings(deadline=None, max_examples=40)  # the first call compiles
@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 3_000), st.data())
def test_the_sizes_are_the_originals(num_rows, num_columns, rank, data):
    k, s = compressor_of(rank).sizes((num_rows, num_columns))
    assert k == min(int(num_rows * 100 / rank + 1), num_rows)
    assert s == min(int(num_columns * 100 / rank + 1), num_columns, k)


@pytest.mark.parametrize("rank", [300, 400, 800, 1_600])
def test_tables_become_smaller(rank):
    compressor, shape = compressor_of(rank), (20_000, 128)
    k, s = compressor.sizes(shape)
    stored = compressor.make_factors(shape, np.float32).stored_bytes
    assert stored == 20_000 * (4 * s + Packing(s, bits_for(k)).row_bytes) + 4 * k * 128
    assert 20_000 * 128 * 4 / stored > 0.38 * rank / 100


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_residuals_are_orthogonal_to_the_atoms_of_their_rows(random, dtype):
    a = random.normal(size=(80, 30)).astype(dtype)
    compressor = compressor_of(300)
    factors = compressor.static_matrix_compressor(a)
    values, columns, dictionary = factors
    k, s = compressor.sizes(a.shape)
    assert (k, s) == (27, 11)
    assert values.shape == columns.shape == (80, s)
    assert (values.dtype, columns.dtype, dictionary.dtype) == (dtype, np.int32, dtype)
    np.testing.assert_allclose(np.linalg.norm(dictionary, axis=1), 1, rtol=1e-6)
    product = dense(values, columns, k) @ dictionary
    for row, chosen in zip(a - product, columns, strict=True):
        assert len(set(chosen.tolist())) == s
        np.testing.assert_allclose(dictionary[chosen] @ row, 0, atol=40 * np.finfo(dtype).eps)
    link = compressor.make_factors(a.shape, dtype)
    link.assign(factors)
    np.testing.assert_allclose(link.matrix().array, product, atol=1e-5)
    assert link.stored_bytes == compressor.compressed_size


def test_learning_is_as_good_as_exact_least_squares_and_scikit_learns_pursuit(random):
    basis = random.normal(size=(30, 12))
    sparse = random.normal(size=(150, 30)) * (random.random((150, 30)) < 0.15)
    a = sparse @ basis + 0.05 * random.normal(size=(150, 12))
    code, dictionary = learn(a, 20, 4, 6, Team(2))
    mine = np.linalg.norm(a - dense(*code, 20) @ dictionary)
    plain = unit_rows(a[np.sort(np.random.default_rng(15).permutation(150)[:20])])
    for _ in range(6):
        codes = theirs(a, plain, 4)
        plain = unit_rows(np.linalg.lstsq(codes, a, rcond=None)[0])
    assert mine < 1.03 * np.linalg.norm(a - theirs(a, plain, 4) @ plain)


def test_each_iteration_brings_codes_nearer(random):
    a = (random.normal(size=(400, 30)) @ np.diag(0.9 ** np.arange(30))).astype(np.float32)
    errors = []
    for n_iterations in (1, 2, 5, 10):
        values, columns, dictionary = compressor_of(400).static_matrix_compressor(a, n_iterations)
        errors.append(np.linalg.norm(a - dense(values, columns, len(dictionary)) @ dictionary))
    assert errors == sorted(errors, reverse=True)
    with pytest.raises(ValueError, match="n_iterations is 0; wanted at least 1"):
        compressor_of(400).static_matrix_compressor(a, n_iterations=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_number_depends_on_the_threads(random, dtype):
    a = random.normal(size=(301, 24)).astype(dtype)
    one, three = (learn(a, 70, 6, 2, Team(threads)) for threads in (1, 3))
    for mine, other in zip((*one[0], one[1]), (*three[0], three[1]), strict=True):
        np.testing.assert_array_equal(mine, other)


def odd_matrices(random):
    some = random.normal(size=(60, 20))
    yield "rows of zeros", some * (np.arange(60) % 3 > 0)[:, None]
    yield "mostly zeros", some * (np.arange(60) == 59)[:, None]
    yield "the same rows", some[random.integers(5, size=60)]
    yield "multiples of one row", np.outer(random.normal(size=60), some[0])
    yield "rank 3", some[:, :3] @ random.normal(size=(3, 20))
    yield "columns of zeros", some * (np.arange(20) % 4 > 0)
    yield "large and small rows", some * np.logspace(-15, 15, 60)[:, None]
    yield "wide", some.T
    yield "one number", np.array([[3.0]])
    yield "one row", some[:1]
    yield "one column", some[:, :1]
    yield "zeros", np.zeros((12, 7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [60, 100, 250, 5_000])
def test_odd_matrices_have_codes(random, dtype, rank):
    for name, a in odd_matrices(random):
        a = a.astype(dtype)
        compressor = compressor_of(rank)
        values, columns, dictionary = compressor.static_matrix_compressor(a)
        k, s = compressor.sizes(a.shape)
        assert values.shape == columns.shape == (len(a), s), name
        assert dictionary.shape == (k, a.shape[1])
        assert np.isfinite(values).all(), name
        assert np.isfinite(dictionary).all(), name
        assert ((columns >= 0) & (columns < k)).all()
        assert (np.diff(np.sort(columns, axis=1), axis=1) > 0).all(), name
        product = dense(values, columns, k) @ dictionary
        # No row is farther from its code than from zero; with an atom for each, none is far.
        own, far = (np.linalg.norm(rows, axis=1) for rows in (a.astype(np.float64), a - product))
        assert (far <= own * (1 + 1e-5)).all(), name
        if rank <= 100:
            assert (far <= own * 1e-4).all(), name


def test_atoms_that_no_row_uses_become_rows_that_are_far(random):
    directions = np.linalg.qr(random.normal(size=(12, 12)))[0]
    # Five rows in six are one of two; the dictionary begins with few of the others.
    a = np.concatenate([directions[:2].repeat(50, axis=0), directions[2:]])
    values, columns, dictionary = compressor_of(800).static_matrix_compressor(a)
    assert len(dictionary) == 14
    np.testing.assert_allclose(dense(values, columns, 14) @ dictionary, a, atol=1e-7)


@pytest.mark.parametrize("scale", [2.0**-140, 2.0**-60, 2.0**100])
def test_the_scale_of_a_matrix_does_not_matter(random, scale):
    a = random.normal(size=(80, 16)).astype(np.float32)
    code, dictionary = learn(a, 20, 4, 2, Team(1))
    scaled, same = learn(a * np.float32(scale), 20, 4, 2, Team(1))
    if scale > 2.0**-120:  # below, digits are lost
        np.testing.assert_array_equal(scaled.columns, code.columns)
        np.testing.assert_array_equal(scaled.values, code.values * np.float32(scale))
        np.testing.assert_array_equal(same, dictionary)
    far = a * np.float32(scale) - dense(*scaled, 20) @ same
    assert np.linalg.norm(far / scale) < 0.9 * np.linalg.norm(a)


def test_a_dictionary_beyond_the_memory_is_refused(random, monkeypatch):
    monkeypatch.setattr(dictionary_fit, "free_memory", lambda: 20_000)
    a = random.normal(size=(200, 10)).astype(np.float32)
    compressor_of(400).static_matrix_compressor(a)
    with pytest.raises(ValueError, match=r"a dictionary of 101 rows .* wanted a larger rank"):
        compressor_of(200).static_matrix_compressor(a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_sparse_rows_are_the_dense_ones(random, dtype):
    values = random.normal(size=(37, 4)).astype(dtype)
    columns = np.argsort(random.random((37, 11)), axis=1)[:, :4].astype(np.int32)
    columns[columns == 6] = 5  # one column is nobody's, and another one some row's twice
    matrix = np.zeros((37, 11))
    np.add.at(matrix, (np.arange(37)[:, None], columns), values)
    table, rows = (random.normal(size=(n, 9)).astype(dtype) for n in (11, 37))
    product, transposed = np.empty((37, 9), dtype), np.empty((11, 9), dtype)
    order = np.argsort(columns.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(columns.reshape(-1), minlength=11))
    team = Team(2)
    team.run(sparse_rows.multiply, 2, values, columns, table, product)
    team.run(sparse_rows.multiply_transpose, 2, values, order, ends, rows, transposed)
    np.testing.assert_allclose(product, matrix @ table, atol=1e-5)
    np.testing.assert_allclose(transposed, matrix.T @ rows, atol=1e-5)
    assert not transposed[6].any()
