import mmap
import os

import numpy as np
import pytest

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.formats.mapped import PAGE, MappedArray
from tests.embedding.test_sharded_table import KINDS, make


@pytest.fixture(params=["file", "directory"])
def saved(request, tmp_path):
    """Saves a table as a file, or as a directory of two shards; returns the path."""

    def saved(kind, rows=2_000):
        table = make(kind, rows=rows)
        embedding = CompressedEmbedding.of_table(table, None, {"loss": 0.5})
        if request.param == "file":
            embedding.save(tmp_path / "x.nnc")
        else:
            embedding.add(None, table.decode(slice(0, 7))).save_shards(tmp_path / "x.nnc")
        return tmp_path / "x.nnc"

    return saved


CHOSEN = [[0], [1_999, 0, 5, 5, 700], [1_998, 1_999], list(range(300, 900)), []]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", CHOSEN)
def test_rows_are_the_same_however_they_are_read(kind, rows, saved):
    path = saved(kind)
    plain = CompressedEmbedding.load(path)
    calls = []

    def read(file, places, lengths):
        calls.append(len(places))
        content = file.read_bytes()
        parts = [
            content[a : a + n] for a, n in zip(places.tolist(), lengths.tolist(), strict=True)
        ]
        return np.frombuffer(b"".join(parts), np.uint8)

    wanted = plain.vectors[rows]
    for options in ({}, {"reader": read}):
        embedding = CompressedEmbedding.load(path, access="random", **options)
        np.testing.assert_array_equal(embedding.vectors[rows], wanted)
    assert bool(calls) == bool(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_searches_find_the_same_however_rows_are_read(kind, saved):
    path = saved(kind)
    plain = CompressedEmbedding.load(path)
    random = CompressedEmbedding.load(path, access="random")
    assert random.most_similar(3) == plain.most_similar(3)
    assert random.most_similar(3, rows=[9, 1, 700]) == plain.most_similar(3, rows=[9, 1, 700])
    assert (random.to_numpy() == plain.to_numpy()).all()


def test_settings_that_do_not_go_together_are_refused(saved):
    path = saved("codes")
    for options, message in [
        ({"access": "none"}, "access is 'none'; wanted 'memory' or 'random'"),
        ({"access": "random", "copy": True}, "a copy is in memory"),
        ({"reader": print}, "without access='random'"),
    ]:
        with pytest.raises(InputError, match=message):
            CompressedEmbedding.load(path, **options)


def test_an_array_in_memory_is_mapped_from_nothing():
    assert MappedArray.of(np.zeros(9, np.uint8)) is None


@pytest.fixture
def mapped(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(os.urandom(64 * PAGE + 5))
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapping, np.uint8)


def test_places_in_a_file(mapped):
    part = MappedArray.of(mapped[1_000:].reshape(-1)[7:])
    assert part.offset == 1_007


def test_pages_are_asked_for_once_and_together(mapped, monkeypatch):
    array = MappedArray.of(mapped[100:])
    asked = []

    class Mapping:
        def __init__(self, mapping):
            self.mapping = mapping

        def __len__(self):
            return len(self.mapping)

        def madvise(self, advice, start, length):
            assert advice == mmap.MADV_WILLNEED
            asked.append((start // PAGE, -(-(start + length) // PAGE)))
            self.mapping.madvise(advice, start, length)

    array._mapping = Mapping(array._mapping)
    monkeypatch.setattr(array, "_are_resident", lambda pages: False)
    begins = np.array([40, 3, 3, 41, 10, 64]) * PAGE - 100 + np.array([0, 5, 9, 0, 4_090, 0])
    ends = begins + 10
    ends[-1] = 64 * PAGE + 5 - 100
    array.fetch(begins, ends)
    assert asked == [(3, 4), (10, 12), (40, 42), (64, 65)]
    monkeypatch.setattr(array, "_are_resident", lambda pages: True)
    array.fetch(begins, ends)
    assert len(asked) == 4


def test_pages_in_memory_are_known(mapped):
    mapped.sum()
    assert MappedArray.of(mapped)._are_resident(np.arange(64))


def test_a_table_of_more_than_two_to_the_32_rows(tmp_path):
    """Its file is sparse: rows that were never written are zeros, and so are their codes."""
    from nncompress.embedding.code_table import CodeTable

    num_rows = (1 << 32) + 9
    codebook = np.arange(8, dtype=np.float32).reshape(2, 4)
    small = CompressedEmbedding.of_table(CodeTable(np.zeros((8, 1), np.uint8), codebook, 1), None)
    small.save(tmp_path / "small.nnc")
    header = (tmp_path / "small.nnc").read_bytes()[:-8]
    sizes = b'"shape":[8,1],"data_offsets":[32,40]'
    assert sizes in header
    larger = b'"shape":[%d,1],"data_offsets":[32,%d]' % (num_rows, num_rows + 32)
    length = int.from_bytes(header[:8], "little")
    text = header[8 : 8 + length].rstrip(b" ").replace(sizes, larger)
    text += b" " * (-(8 + len(text)) % 64)
    with (tmp_path / "x.nnc").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + codebook.tobytes())
        start = file.tell()
        file.truncate(start + num_rows)
        file.seek(start + num_rows - 3)
        file.write(b"\1")
    embedding = CompressedEmbedding.load(tmp_path / "x.nnc", access="random")
    rows = [num_rows - 3, 0, num_rows - 1, 1 << 32, -3]
    assert len(embedding) == num_rows
    assert (embedding.vectors[rows] == codebook[[1, 0, 0, 0, 1]]).all()
    assert embedding[num_rows - 3].tolist() == codebook[1].tolist()
    found = embedding.most_similar([codebook[1]], rows=[5, num_rows - 3], topn=2)
    assert [row for row, _ in found] == [num_rows - 3, 5]
