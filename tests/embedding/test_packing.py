import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nncompress.embedding.packing import Packing, bits_for


def test_bits_are_the_logarithm_rounded_up():
    for count in [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 65_535, 65_536, 1 << 31]:
        bits = bits_for(count)
        assert 1 << bits >= count
        assert bits == 1 or 1 << (bits - 1) < count


def by_strings(codes, bits):
    """Packs a row by writing its bits one after the other, the lowest first."""
    text = "".join(format(int(code), f"0{bits}b")[::-1] for code in codes)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8][::-1], 2) for i in range(0, len(text), 8))


@given(st.integers(1, 70), st.integers(2, 65_536), st.integers(0, 40), st.integers(0, 99))
@example(1, 2, 3, 0)
@example(1, 65_536, 3, 0)
@example(70, 2, 3, 0)
@example(70, 65_536, 3, 0)
@example(70, 65_535, 3, 0)
@example(33, 16, 0, 0)
@example(7, 257, 9, 0)
def test_what_is_packed_is_unpacked(m, k, rows, seed):
    packing = Packing(m, bits_for(k))
    random = np.random.default_rng(seed)
    codes = random.integers(k, size=(rows, m))
    codes[:1], codes[1:2] = 0, k - 1
    packed = packing.pack(codes)
    assert packed.dtype == np.uint8
    assert packed.shape == (rows, -(-m * bits_for(k) // 8))
    assert [row.tobytes() for row in packed] == [by_strings(row, bits_for(k)) for row in codes]
    unpacked = packing.unpack(packed)
    assert unpacked.dtype == (np.uint8 if k <= 256 else np.uint16)
    assert unpacked.tolist() == codes.tolist()


@pytest.mark.parametrize("bits", [17, 19, 24, 31, 32])
def test_wide_numbers_are_packed_too(bits, random):
    numbers = random.integers(1 << bits, size=(50, 8))
    packing = Packing(8, bits)
    assert packing.row_bytes == bits
    assert packing.unpack(packing.pack(numbers)).tolist() == numbers.tolist()
