import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.embedding.codes import (
    code_dtype,
    reconstruct,
    write_codebook,
    write_codes,
)
from nncompress.errors import InputError


def test_code_dtype_is_the_smallest_that_holds_k():
    assert [code_dtype(k) for k in (2, 256, 257, 65536)] == ["u1", "u1", "u2", "u2"]


def test_reconstruction_follows_the_definition(random):
    codes = random.integers(16, size=(300, 5)).astype(np.uint8)
    codebook = random.normal(size=(80, 12)).astype(np.float32)
    one_hot = np.eye(16)[codes].reshape(300, 80)
    expected = one_hot @ codebook
    np.testing.assert_allclose(reconstruct(codes, codebook), expected, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 30), st.integers(1, 9), st.sampled_from([2, 16, 256, 65_536]), st.data())
def test_codes_are_read_back_from_their_text(tmp_path_factory, n, m, k, data):
    path = tmp_path_factory.mktemp("codes") / "x.codes"
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    codes = random.integers(k, size=(n, m)).astype(code_dtype(k))
    tokens = [f"é {i}\r" for i in range(n)]
    write_codes(path, codes, tokens)
    lines = path.read_bytes().decode().split("\n")
    assert lines.pop() == ""
    read = [line.split("\t") for line in lines]
    assert [token for token, _ in read] == tokens
    assert [list(map(int, numbers.split(" "))) for _, numbers in read] == codes.tolist()
    write_codes(path, codes)
    numbers = np.loadtxt(io.StringIO(path.read_text()), dtype=int, ndmin=2) if n else codes
    assert numbers.tolist() == codes.tolist()


def test_many_rows_are_written_in_order(tmp_path, random):
    codes = random.integers(16, size=(20_000, 3)).astype(np.uint8)
    write_codes(tmp_path / "c", codes)
    assert (np.loadtxt(tmp_path / "c", dtype=int) == codes).all()


def test_a_wrong_number_of_tokens_is_refused_and_an_old_file_stays(tmp_path):
    path = tmp_path / "c"
    path.write_text("old")
    with pytest.raises(InputError, match="1 tokens were given; wanted 2"):
        write_codes(path, np.zeros((2, 3), np.uint8), ["a"])
    assert path.read_text() == "old"


def test_the_codebook_file_is_float32(tmp_path, random):
    codebook = random.normal(size=(6, 4))
    write_codebook(tmp_path / "b.npy", codebook)
    assert (np.load(tmp_path / "b.npy") == codebook.astype(np.float32)).all()
    assert np.load(tmp_path / "b.npy").dtype == np.float32
