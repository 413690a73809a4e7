"""Trellises, against shift registers."""

import numpy as np
import pytest

from nncompress.embedding.trellis_code import GENERATORS, trellis_code
from nncompress.errors import FormatError


def by_register(state, bit, state_bits):
    """Returns the branch's label and the next state, by the definition of the code."""
    register = 2 * state + bit
    a, b = (f"{register & generator:b}".count("1") % 2 for generator in GENERATORS[state_bits])
    return [[0, 1], [3, 2]][a][b], register % 2**state_bits


@pytest.mark.parametrize("state_bits", GENERATORS)
def test_the_tables_are_those_of_a_shift_register(state_bits):
    code = trellis_code(state_bits)
    for state in range(2**state_bits):
        branches = [by_register(state, bit, state_bits) for bit in (0, 1)]
        labels = [label for label, _ in branches]
        assert code.labels[state] == labels[0]
        assert code.labels[state] ^ 2 == labels[1]
        assert {label & 1 for label in labels} == {code.quantizers[state]}
        for label, following in branches:
            parity = {0: 0, 2: 1, 1: 1, 3: 0}[label]
            assert code.next_states[state, parity] == following


@pytest.mark.parametrize("state_bits", [3, 8])
def test_two_walks_that_part_meet_again_after_all_bits_of_a_state(state_bits):
    code = trellis_code(state_bits)
    for state in range(2**state_bits):
        ways = [{int(code.next_states[state, parity])} for parity in (0, 1)]
        for _ in range(state_bits - 1):
            assert not ways[0] & ways[1]
            ways = [{int(s) for one in way for s in code.next_states[one]} for way in ways]
        assert not ways[0] & ways[1]
        ways = [{int(s) for one in way for s in code.next_states[one]} for way in ways]
        assert ways[0] == ways[1] == set(range(2**state_bits))


def test_there_is_no_trellis_of_other_sizes():
    with pytest.raises(FormatError, match=r"a trellis of 2 bits; wanted one of \[3, 4"):
        trellis_code(2)


def test_a_code_is_made_once():
    assert trellis_code(6) is trellis_code(6)
    assert trellis_code(6).next_states.dtype == np.uint16
