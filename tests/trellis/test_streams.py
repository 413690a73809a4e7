"""What is written is read: by NumPy's code and by compiled code, whatever is asked for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.embedding.engine import engine
from nncompress.embedding.residual import Stream
from nncompress.embedding.residual_kernels import slots_of
from nncompress.errors import FormatError
from tests.trellis.making import random_levels, random_tables, residual_of, values_of, written


@pytest.fixture(params=["numpy", "numba"])
def each_engine(request):
    engine.use(request.param)
    yield request.param
    engine.use("auto")


def both_engines(work):
    """Returns what NumPy's code and compiled code make of it."""
    results = []
    for name in ("numpy", "numba"):
        engine.use(name)
        results.append(work())
    engine.use("auto")
    return results


@settings(deadline=None, max_examples=60)
@given(
    num_rows=st.integers(1, 40),
    num_axes=st.integers(1, 40),
    block_rows=st.sampled_from([1, 1, 2, 5, 16]),
    state_bits=st.sampled_from([3, 6, 8]),
    largest=st.sampled_from([3, 20, 400, 32_767]),
    seed=st.integers(0, 1 << 30),
)
def test_what_is_written_is_read(num_rows, num_axes, block_rows, state_bits, largest, seed):
    random = np.random.default_rng(seed)
    tables = random_tables(random, num_axes)
    levels = random_levels(random, num_rows, num_axes, largest)
    classes = random.integers(3, size=num_rows).astype(np.uint8)
    residual = residual_of(random, levels, classes, tables, state_bits, block_rows)
    expected = np.zeros((residual.stream.num_blocks * block_rows, num_axes), np.float32)
    expected[:num_rows] = values_of(levels, classes, tables, state_bits)
    blocks = np.arange(residual.stream.num_blocks)
    for order in (blocks, blocks[::-1], random.permutation(blocks)[:3], blocks[-1:]):
        wanted = expected.reshape(-1, block_rows, num_axes)[order]
        for found in both_engines(lambda order=order: residual.coordinates(order)):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("block_rows", [1, 4])
def test_rows_are_decoded_in_any_order_and_number(each_engine, block_rows, random):
    tables = random_tables(random, 30)
    levels = random_levels(random, 203, 30)
    classes = random.integers(3, size=203).astype(np.uint8)
    residual = residual_of(random, levels, classes, tables, 6, block_rows)
    coordinates = values_of(levels, classes, tables, 6).astype(np.float64)
    expected = coordinates @ residual.axes + residual.mean
    scale = np.abs(expected).max()
    everything = np.arange(203)
    for rows in (
        everything,
        everything[::-1],
        np.repeat(random.permutation(everything), 2),
        random.integers(203, size=900),
        np.array([202]),
        np.array([17, 17, 17]),
        np.array([], np.int64),
    ):
        before = random.normal(size=(len(rows), residual.mean.size)).astype(np.float32)
        total = before.copy()
        residual.add_to(rows, total)
        np.testing.assert_allclose(total, before + expected[rows], atol=2e-6 * scale)


@pytest.mark.parametrize("block_rows", [1, 4])
def test_compiled_code_decodes_a_row_to_the_same_bits_however_many_are_asked_for(
    block_rows, random
):
    tables = random_tables(random, 70)
    levels = random_levels(random, 500, 70)
    classes = random.integers(3, size=500).astype(np.uint8)
    residual = residual_of(random, levels, classes, tables, 8, block_rows, 3)
    engine.use("numba")
    try:
        whole = np.zeros((500, 77), np.float32)
        residual.add_to(np.arange(500), whole)
        for count in (1, 2, 3, 4, 5, 63, 64, 65, 200):
            rows = random.integers(500, size=count)
            part = np.zeros((count, 77), np.float32)
            residual.add_to(rows, part)
            np.testing.assert_array_equal(part, whole[rows])
    finally:
        engine.use("auto")


@pytest.mark.parametrize("threads", [2, 3])
def test_bytes_do_not_depend_on_threads(threads, random):
    tables = random_tables(random, 25)
    levels = random_levels(random, 101, 25)
    classes = random.integers(3, size=101).astype(np.uint8)
    data, lengths = written(levels, classes, tables, 6, 4)
    others = written(levels, classes, tables, 6, 4, threads)
    assert data.tobytes() == others[0].tobytes()
    assert lengths.tolist() == others[1].tolist()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1 << 30), block_rows=st.sampled_from([1, 3]))
def test_damaged_bytes_are_read_to_something_the_same_by_both(seed, block_rows):
    random = np.random.default_rng(seed)
    tables = random_tables(random, 20)
    levels = random_levels(random, 23, 20)
    classes = random.integers(3, size=23).astype(np.uint8)
    residual = residual_of(random, levels, classes, tables, 4, block_rows)
    stream = residual.stream
    stream.data[:] = random.integers(256, size=len(stream.data))
    stream.lengths[:] = random.integers(256, size=stream.lengths.shape)
    stream.starts[:] = random.integers(1 << 32, size=stream.starts.shape)
    blocks = np.arange(stream.num_blocks)
    many, same = both_engines(lambda: residual.coordinates(blocks))
    np.testing.assert_array_equal(many, same)
    for block in blocks[:3]:
        for one in both_engines(lambda block=block: residual.coordinates(np.array([block]))):
            np.testing.assert_array_equal(one[0], many[block])


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("tables", {"frequencies": np.full((5, 2, 16), 255, np.uint16)}, "add up to 4,096"),
        ("tables", {"class_frequencies": np.full(3, 9, np.uint16)}, "add up to 4,096"),
        ("tables", {"points": np.zeros((4, 2, 4), np.float32)}, r"points of shape \(4, 2, 4\)"),
        ("tables", {"class_offsets": np.zeros(2, np.int16)}, "class offsets"),
        ("tables", {"class_steps": np.zeros(300, np.float32)}, "class frequencies"),
        ("tables", {"axis_scales": np.zeros(19, np.int16)}, r"scales of axes of shape \(19,\)"),
        ("stream", {"data": np.zeros(68, np.uint8)}, "23 blocks in 68 bytes"),
        ("stream", {"starts": np.zeros(0, np.uint32)}, "places of blocks"),
        ("stream", {"lengths": np.zeros((1, 3), np.uint8)}, "lengths of blocks"),
        ("stream", {"num_rows": 33}, "places of blocks"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(part, change, message, random):
    levels = random_levels(random, 23, 20)
    classes = np.zeros(23, np.uint8)
    residual = residual_of(random, levels, classes, random_tables(random, 20))
    damaged = replace(residual, **{part: replace(getattr(residual, part), **change)})
    with pytest.raises(FormatError, match=message):
        damaged.add_to(np.arange(3), np.zeros((3, 22), np.float32))


@given(
    num_blocks=st.integers(1, 100),
    longest=st.sampled_from([3, 4, 60, 70_000]),
    seed=st.integers(0, 99),
)
def test_blocks_begin_where_those_before_them_end(num_blocks, longest, seed):
    random = np.random.default_rng(seed)
    lengths = random.integers(3, longest + 1, size=num_blocks)
    stream = Stream.of(np.zeros(lengths.sum(), np.uint8), lengths, 2, 2 * num_blocks - 1)
    assert stream.num_blocks == num_blocks
    blocks = random.integers(num_blocks, size=50)
    places, ends = stream.places(blocks)
    sums = np.concatenate([[0], np.cumsum(lengths)])
    assert places.tolist() == sums[blocks].tolist()
    assert ends.tolist() == sums[blocks + 1].tolist()


def test_slots_are_as_many_as_frequencies_say(random):
    frequencies = random_tables(random, 1).frequencies
    symbols, starts = slots_of(frequencies)
    for f, slots, first in zip(
        frequencies.reshape(-1, 16), symbols.reshape(-1, 4096), starts.reshape(-1, 16), strict=True
    ):
        assert slots.tolist() == np.repeat(np.arange(16), f).tolist()
        assert first.tolist() == np.concatenate([[0], np.cumsum(f)[:-1]]).tolist()
