import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress import CompressedEmbedding, FormatError, InputError
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.engine import engine
from nncompress.embedding.quantized_matrix import QuantizedMatrix
from nncompress.embedding.residual_table import ResidualTable
from tests.embedding.residual_reader import rows_of, sections_of
from tests.embedding.residual_tables import random_table


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 6), st.integers(1, 9), st.integers(3, 10),
    st.integers(0, 8), st.integers(0, 3), st.sampled_from([None, 0, 2, 8]), st.integers(0, 99),
)  # fmt: skip
def test_a_file_is_read_back_and_as_the_page_has_it(
    tmp_path_factory,
    rows,
    axes,
    block_rows,
    state_bits,
    reflections,
    cluster_bits,
    codebook_bits,
    seed,
):
    table = random_table(
        np.random.default_rng(seed), codebook_bits is not None, codebook_bits or 0, rows=rows,
        axes=axes, dim=9, block_rows=block_rows, state_bits=state_bits, reflections=reflections,
        cluster_bits=cluster_bits,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("v2") / "x.nnc"
    words = [f"w{i}" for i in range(rows)]
    embedding = CompressedEmbedding.of_table(table, words, {"seed": 3})
    embedding.save(path)
    again = CompressedEmbedding.load(path, verify=True)
    decoded = embedding.to_numpy()
    assert (again.to_numpy() == decoded).all()
    assert again.provenance == {"seed": 3}
    assert list(again) == words
    again.save(path.with_name("y.nnc"))
    assert path.with_name("y.nnc").read_bytes() == path.read_bytes()
    expected = rows_of(path.read_bytes())
    np.testing.assert_allclose(decoded, expected, atol=1e-5 * np.abs(expected).max())


def test_a_file_says_that_it_is_of_version_2_where_version_1_cannot_hold_it(random, tmp_path):
    codes = random.integers(11, size=(60, 3))
    plain = CodeTable.of_codes(codes, random.normal(size=(33, 7)))
    few = CodeTable(plain.packed, QuantizedMatrix.of(plain.codebook, 5), 3)
    residual = random_table(random, False)
    for table, version in ((plain, "1"), (few, "2"), (residual, "2")):
        CompressedEmbedding.of_table(table, None).save(tmp_path / "x.nnc")
        metadata, sections = sections_of((tmp_path / "x.nnc").read_bytes())
        assert metadata["format_version"] == version
        assert (metadata["num_codebooks"] == "0") == ("codes" not in sections)
        opened = CompressedEmbedding.load(tmp_path / "x.nnc").table
        assert type(opened) is type(table)
        assert (opened.decode(slice(None)) == table.decode(slice(None))).all()


def test_a_codebook_in_few_bits_is_one_of_its_numbers(random):
    codes = random.integers(11, size=(60, 3))
    codebook = random.normal(size=(33, 7)).astype(np.float32)
    few = CodeTable(CodeTable.of_codes(codes, codebook).packed, QuantizedMatrix.of(codebook, 8), 3)
    numbers = few.stored_codebook.to_numpy()
    assert (
        few.decode(slice(None)) == CodeTable.of_codes(codes, numbers).decode(slice(None))
    ).all()
    assert few.shared_bytes < 33 * 7 + 33 * 4
    assert few.codebook_type == "8 bits"


def test_tables_tell_their_bytes(random, tmp_path):
    table = random_table(random, True)
    CompressedEmbedding.of_table(table, None).save(tmp_path / "x.nnc")
    _, sections = sections_of((tmp_path / "x.nnc").read_bytes())
    by_row = ("codes", "residual.data", "residual.starts", "residual.lengths", "residual.clusters")
    own = sum(sections[name].nbytes for name in by_row)
    assert table.row_bytes == pytest.approx(own / table.num_rows)
    assert table.shared_bytes == sum(array.nbytes for array in sections.values()) - own


@pytest.fixture(scope="module")
def file_bytes(tmp_path_factory):
    table = random_table(np.random.default_rng(5), True)
    path = tmp_path_factory.mktemp("v2") / "x.nnc"
    CompressedEmbedding.of_table(table, [f"w{i}" for i in range(70)]).save(path)
    return path.read_bytes()


def metadata(**values):
    return lambda header, sections: header["__metadata__"].update(values)


def put(name, place, value):
    """Changes a number of a section."""

    def change(header, sections):
        sections[name].reshape(-1)[place] = value

    return change


def without(name):
    return lambda header, sections: header.update(other=header.pop(name))


def shape(name, *sizes):
    return lambda header, sections: header[name].update(shape=list(sizes))


def altered(file_bytes, change):
    """Returns a file with another header or other numbers."""
    length = int.from_bytes(file_bytes[:8], "little")
    header, data = json.loads(file_bytes[8 : 8 + length]), bytearray(file_bytes[8 + length :])
    types = {"U8": "u1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "F32": "<f4", "U32": "<u4"}
    sections = {
        name: np.frombuffer(data, types[entry["dtype"]])[:0]
        if (begin := entry["data_offsets"][0]) == (end := entry["data_offsets"][1])
        else np.frombuffer(memoryview(data)[begin:end], types[entry["dtype"]])
        for name, entry in header.items()
        if name != "__metadata__"
    }
    change(header, sections)
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text + bytes(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (metadata(num_rows="0"), "num_rows is 0; wanted 1"),
        (metadata(num_rows="69"), "codes and codebook have 70 rows and 9 columns"),
        (metadata(num_rows="999999999999"), "bytes of rows; wanted at least"),
        (metadata(block_rows="65"), "block_rows is 65; wanted 1 to 64"),
        (metadata(block_rows="1"), "section 'residual.starts'|bytes of rows"),
        (metadata(state_bits="11"), "state_bits is 11; wanted 3 to 10"),
        (metadata(state_bits="2"), "state_bits is 2; wanted 3 to 10"),
        (metadata(cluster_bits="17"), "cluster_bits is 17; wanted 0 to 16"),
        (metadata(cluster_bits="3"), "section 'clusters' has type uint8"),
        (metadata(cluster_bits="0"), None),
        (metadata(length_bits="33"), "length_bits is 33; wanted 1 to 32"),
        (metadata(length_bits="1"), "section 'lengths' has type"),
        (metadata(least_length="2"), "least_length is 2; wanted 3"),
        (metadata(least_length="900000"), "wanted at least 900000 for each of 24 blocks"),
        (metadata(num_codebooks="0"), None),
        (without("residual.data"), "there is no section 'data'"),
        (without("residual.points"), "there is no section 'points'"),
        (put("residual.frequencies", 3, 0), "section 'frequencies' does not add up to 4096"),
        (put("residual.frequencies", 3, 4_095), "section 'frequencies' does not add up to 4096"),
        (put("residual.class_frequencies", 0, 9), "section 'class_frequencies' does not add up"),
        (put("residual.shifts", 0, 13), "a shift of 13 bits; wanted up to 12"),
        (put("residual.class_steps", 0, 0.0), "a step that is not positive"),
        (put("residual.class_steps", 0, np.nan), "a step that is not positive"),
        (put("residual.centre_steps", 0, np.inf), None),
        (put("residual.reflections_low_bits", 0, 255), None),
        (put("residual.reflections_high", 0, 0), None),
        (put("residual.reflections_high", slice(None), 255), None),
        (put("residual.centres_high", slice(None), 0), None),
        (put("residual.centres_low_bits", slice(None), 24), None),
        (put("residual.axis_scales", slice(None), -32_768), "no axis is coded"),
        (put("residual.mean", 0, np.inf), None),
        (put("residual.axis_scales", 0, -32_768), None),
        (put("residual.axis_scales", 0, 32_767), None),
        (put("residual.class_offsets", 0, -32_768), None),
        (put("residual.starts", 0, (1 << 32) - 1), None),
        (shape("residual.frequencies", 1, 10, 16), "section 'frequencies' has type uint16"),
        (shape("residual.points", 10, 4), "section 'points' has type float16"),
        (shape("residual.axis_scales", 9, 1), "section 'axis_scales' has type int16"),
    ],
)
@pytest.mark.parametrize("chosen", ["numpy", "numba"])
def test_what_does_not_fit_is_told_and_the_rest_does_no_harm(
    file_bytes, tmp_path, change, message, chosen
):
    path = tmp_path / "x.nnc"
    path.write_bytes(altered(file_bytes, change))
    if message is None:
        use(path, chosen)
        return
    with pytest.raises(FormatError, match=message) as caught:
        CompressedEmbedding.load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 400


def use(path, chosen):
    """Opens a file and uses all of it; what it may raise is an InputError."""
    engine.use(chosen)
    try:
        with np.errstate(all="ignore"), contextlib.suppress(InputError):
            embedding = CompressedEmbedding.load(path)
            embedding.to_numpy()
            embedding[0]
            embedding.most_similar(0, topn=5)
            embedding.vectors_for_all([2, 1]).to_numpy()
    finally:
        engine.use("auto")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_altered_and_cut_files_do_no_harm(file_bytes, tmp_path_factory, data):
    changed = bytearray(file_bytes)
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    if data.draw(st.integers(0, 5)) == 0:
        changed = changed[: data.draw(st.integers(0, len(changed)))]
    path = tmp_path_factory.mktemp("altered") / "x.nnc"
    path.write_bytes(changed)
    for chosen in ("numpy", "numba"):
        use(path, chosen)


def test_places_beyond_the_data_are_kept_in_it(random):
    stream = random_table(random, False).residual.stream
    blocks = np.arange(stream.num_blocks)
    for starts in ([(1 << 64) - 1], [1 << 63], [(1 << 63) - 1], [len(stream.data)]):
        changed = type(stream)(**vars(stream) | {"starts": np.array(starts, np.uint64)})
        places, ends = changed.places(blocks)
        assert (places >= 0).all()
        assert (ends >= places + 3).all()
        assert (ends <= len(stream.data)).all()


def test_opening_does_not_read_the_stream(file_bytes, tmp_path, monkeypatch):
    (tmp_path / "x.nnc").write_bytes(file_bytes)
    monkeypatch.setattr("nncompress.embedding.residual.Stream.places", None)
    opened = CompressedEmbedding.load(tmp_path / "x.nnc").table
    assert isinstance(opened, ResidualTable)
    assert not opened.residual.stream.data.flags.owndata
