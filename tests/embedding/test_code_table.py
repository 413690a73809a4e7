import numpy as np
import pytest

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.engine import Engine, engine
from nncompress.errors import InputError

SIZES = [(1, 2), (3, 2), (5, 4), (32, 16), (9, 16), (2, 256), (5, 11), (7, 300), (2, 65_536)]


def make(random, m, k, dim=21, rows=3_000, dtype=np.float32):
    codes = random.integers(k, size=(rows, m))
    codebook = random.normal(size=(m * k, dim)).astype(dtype)
    total = np.zeros((rows, dim))
    for group in range(m):
        total += codebook[group * k + codes[:, group]].astype(np.float64)
    return CodeTable.of_codes(codes, codebook), codes, total


@pytest.mark.parametrize(("m", "k"), SIZES)
def test_rows_norms_and_cosines_follow_the_definitions(random, each_engine, m, k):
    table, codes, rows = make(random, m, k)
    assert (table.codes(slice(None)) == codes).all()
    np.testing.assert_allclose(table.decode(slice(None)), rows, atol=1e-4)
    np.testing.assert_allclose(table.vector(17), rows[17], atol=1e-4)
    chosen = np.array([5, 5, 2_999, 0])
    np.testing.assert_allclose(table.decode(chosen), rows[chosen], atol=1e-4)
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(table.inverse_norms, 1 / lengths, rtol=1e-4)
    query = random.normal(size=21).astype(np.float32)
    cosines = rows @ query / lengths
    np.testing.assert_allclose(table.cosines(query), cosines, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(table.cosines(query, 100), cosines[:100], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("m", "k"), SIZES)
@pytest.mark.parametrize("dim", [1, 16, 50, 300])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_compiled_code_gives_the_same_bits_as_numpy(random, m, k, dim, dtype):
    if m * k * dim > 1_000_000:
        dim = 3
    table, _, _ = make(random, m, k, dim, rows=20_000, dtype=dtype)
    query = random.normal(size=dim).astype(np.float32)
    found = {}
    for name in ("numpy", "numba"):
        engine.use(name)
        fresh = CodeTable(table.packed, table.codebook, m)
        found[name] = [
            fresh.decode(slice(None)), fresh.vector(3), fresh.inverse_norms, fresh.cosines(query)
        ]  # fmt: skip
    engine.use("auto")
    for one, other in zip(*found.values(), strict=True):
        assert (one == other).all()


def test_large_codebooks_have_their_norms_from_decoded_rows(random, each_engine, monkeypatch):
    from nncompress.embedding import code_table

    table, _, rows = make(random, 5, 11)
    monkeypatch.setattr(code_table, "_MOST_GRAM_CODEWORDS", 10)
    np.testing.assert_allclose(table.inverse_norms, 1 / np.linalg.norm(rows, axis=1), rtol=1e-4)


def test_rows_of_zeros_have_no_direction(each_engine):
    table = CodeTable.of_codes(np.array([[0, 0], [1, 1]]), np.array([[1.0], [2], [-1], [3]]))
    assert table.inverse_norms.tolist() == [0.0, np.float32(0.2)]
    assert table.cosines(np.ones(1, np.float32)).tolist() == [0.0, 1.0]


def test_codes_that_no_codeword_has_stay_in_bounds(random, each_engine):
    """What a damaged file may hold: 4 bits a code for 11 codewords."""
    codebook = random.normal(size=(33, 6)).astype(np.float32)
    table = CodeTable(random.integers(256, size=(50, 2), dtype=np.uint8), codebook, 3)
    assert np.isfinite(table.decode(slice(None))).all()
    assert np.isfinite(table.cosines(np.ones(6, np.float32))).all()


def test_float16_codebooks_are_summed_in_float32(random, each_engine):
    table, _, rows = make(random, 32, 16, dtype=np.float16)
    assert table.codebook.dtype == np.float16
    np.testing.assert_allclose(table.decode(slice(None)), rows, atol=1e-4)


@pytest.mark.parametrize(
    ("codes", "codebook", "message"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), "codes of type float64"),
        (np.zeros(3, int), np.zeros((4, 2)), r"shape \(3,\); wanted integers"),
        (np.zeros((0, 2), int), np.zeros((4, 2)), "wanted integers"),
        (np.zeros((3, 2), int), np.zeros((4, 2), int), "the codebook of type int"),
        (np.zeros((3, 2), int), np.zeros((5, 2)), "a codebook of 5 rows for codes of 2 columns"),
        (np.zeros((3, 2), int), np.zeros((2, 2)), "with K from 2 to 65,536"),
        (np.full((3, 2), 2), np.zeros((4, 2)), "a code is 2; wanted 0 to 1"),
        (np.full((3, 2), -1), np.zeros((4, 2)), "a code is -1"),
        (np.zeros((3, 2), int), np.full((4, 2), np.nan), "not finite"),
        (np.zeros((3, 2), int), np.full((4, 2), 1e39), "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_arrays_that_do_not_fit_are_refused(codes, codebook, message):
    with pytest.raises(InputError, match=message):
        CodeTable.of_codes(codes, codebook)


def test_numba_takes_over_after_a_while(monkeypatch):
    from nncompress.embedding import engine as module

    calls = []
    monkeypatch.setattr(module.numpy_kernels, "decode", lambda *a: calls.append(len(a[0])))
    monkeypatch.setattr(module, "_BLOCK_BYTES", 24)  # two rows
    ours = Engine()
    clock = iter([0.0, 0.3, 1.0, 1.3])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    rows, total = np.zeros(7, np.int64), np.zeros((7, 3), np.float32)
    shared = np.zeros((1, 1), np.uint8), 4, np.ones((16, 3), np.float32)
    ours.call("decode", (rows, total), *shared)
    assert calls == [2, 2]
    assert total[:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1]
    ours.call("decode", (rows[:1], total[:1]), *shared)
    assert total[:, 0].tolist() == [1, 0, 0, 0, 1, 1, 1]
    with pytest.raises(InputError, match="no engine named 'cuda'"):
        ours.use("cuda")
