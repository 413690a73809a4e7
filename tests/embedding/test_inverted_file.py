"""Searches by an inverted file, and among given rows."""

import numpy as np
import pytest

from nncompress import CompressedEmbedding, FormatError, InputError
from nncompress.embedding import code_table, index_building
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.index_building import build_index
from nncompress.embedding.index_file import beside, read_index
from tests.embedding.residual_tables import random_table

ROWS = 3_000


def clustered(random, num_rows=ROWS, m=6, k=16, dim=12):
    """Returns a table of codes that are those of one of 40 rows, but for two."""
    codes = random.integers(k, size=(40, m))[random.integers(40, size=num_rows)]
    for _ in range(2):
        columns = random.integers(m, size=num_rows)
        codes[np.arange(num_rows), columns] = random.integers(k, size=num_rows)
    return CodeTable.of_codes(codes, random.normal(size=(m * k, dim)).astype(np.float32))


@pytest.fixture(params=["codes", "residuals", "residuals alone"])
def table(request, random):
    if request.param == "codes":
        return clustered(random)
    sizes = {"rows": 800, "axes": 8, "dim": 8, "cluster_bits": 4}
    return random_table(random, request.param == "residuals", **sizes)


def units(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def best_of(rows, query, among, count):
    """Returns those of some rows of the largest cosines with a row, and all cosines."""
    cosines = units(rows) @ units(rows[[query]])[0]
    among = np.array([row for row in among if row != query])
    return among[np.argsort(-cosines[among], kind="stable")][:count].tolist(), cosines


def check(found, names, cosines):
    """Compares rows and their cosines with the best ones; rounding may exchange equal ones."""
    rows = [row for row, _ in found]
    assert len(set(rows)) == len(names)
    np.testing.assert_allclose([c for _, c in found], cosines[names], atol=2e-6)
    np.testing.assert_allclose(cosines[rows], cosines[names], atol=2e-6)


def test_with_all_lists_a_search_is_the_exact_one(table, each_engine):
    embedding, exact = (CompressedEmbedding.of_table(table, None) for _ in range(2))
    count = embedding.build_index().num_lists
    assert count == round(4 * table.num_rows**0.5)
    for row in range(0, table.num_rows, 97):
        found = embedding.most_similar(row, topn=30, probe=count)
        assert found == embedding.most_similar(row, topn=30, probe=10**6)
        expected = exact.most_similar(row, topn=30)
        if isinstance(table, CodeTable) or each_engine == "numba":
            assert found == expected
        else:  # whose sums along the axes depend on which rows are decoded together
            assert [r for r, _ in found] == [r for r, _ in expected]
            np.testing.assert_allclose([c for _, c in found], [c for _, c in expected], atol=1e-6)


def test_the_rows_of_a_few_lists_are_looked_at(table):
    embedding = CompressedEmbedding.of_table(table, None)
    index = embedding.build_index(lists=30)
    rows, centres = embedding.to_numpy(), index.centres.astype(np.float32)
    own = (units(rows) @ units(centres).T).argmax(axis=1)
    for probe in (1, 3, 30):
        for row in range(0, table.num_rows, 111):
            nearest = np.argsort(-(centres @ rows[row]), kind="stable")[:probe]
            expected = np.flatnonzero(np.isin(own, nearest))
            candidates = index.candidates(rows[row], probe)
            assert len(np.setxor1d(candidates, expected)) <= 0.02 * len(expected) + 1  # rounding
            found = embedding.most_similar(row, topn=5, probe=probe)
            check(found, *best_of(rows, row, candidates.tolist(), 5))


def keys(found):
    return {key for key, _ in found}


def test_recall_rises_with_the_number_of_lists(random):
    embedding = CompressedEmbedding.of_table(clustered(random, 20_000), None)
    embedding.build_index()
    queries = list(range(0, 20_000, 200))
    exact = embedding.most_similar_batch(queries)
    recalls = []
    for probe in (1, 4, 16, 64, 566):
        found = embedding.most_similar_batch(queries, probe=probe)
        pairs = zip(found, exact, strict=True)
        recalls.append(
            np.mean([len({k for k, _ in a} & {k for k, _ in b}) / 10 for a, b in pairs])
        )
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1.0
    assert recalls[2] > 0.6 > recalls[0]


@pytest.mark.parametrize(
    ("m", "k"), [(6, 16), (32, 2), (5, 11), (3, 300), (9, 256), (2, 40_000), (8, 4)]
)
def test_some_rows_have_the_cosines_that_all_have(random, each_engine, m, k, monkeypatch):
    codes = random.integers(k, size=(700, m))
    codebook = random.normal(size=(m * k, 5)).astype(np.float32)
    if m == 32:
        codebook[1::2] = -codebook[::2]
        codes[5] = np.arange(m) % 2
        codebook[2::4] = codebook[::4]  # so that row 5 is 0 but for rounding
    table, whole = (CodeTable.of_codes(codes, codebook) for _ in range(2))
    query = units(random.normal(size=(1, 5)))[0].astype(np.float32)
    rows = random.integers(700, size=300)
    rows[0] = 5
    for one in (table, CodeTable.of_codes(codes, codebook)):
        for _ in range(2):  # with lengths that are kept from then on, where there is room
            np.testing.assert_array_equal(one.cosines_of(query, rows), whole.cosines(query)[rows])
        monkeypatch.setattr(code_table, "free_memory", lambda: 0)
    assert table.cosines_of(query, rows[:0]).shape == (0,)
    table.cosines(query)
    np.testing.assert_array_equal(table.cosines_of(query, rows), whole.cosines(query)[rows])


def test_given_rows_alone_are_looked_at(table, random):
    words = [None if row % 7 == 3 else f"w{row}" for row in range(table.num_rows)]
    embedding = CompressedEmbedding.of_table(table, words)
    embedding.build_index(lists=10)
    rows, numbers = embedding.to_numpy(), random.permutation(table.num_rows)[:200]
    mask = np.zeros(table.num_rows, np.bool_)
    mask[numbers] = True
    twice = [*numbers.tolist(), *numbers[:50].tolist()]
    for row in (0, 1, int(numbers[0]) // 7 * 7):
        for limit in (None, 300):
            among = [n for n in numbers if n % 7 != 3 and (limit is None or n < limit)]
            names, cosines = best_of(rows, row, among, 12)
            for given in (numbers, mask, twice, numbers.astype(np.uint16)):
                found = embedding.most_similar(row, topn=12, restrict_vocab=limit, rows=given)
                assert {int(word[1:]) for word, _ in found} <= set(among)
                check([(int(word[1:]), c) for word, c in found], names, cosines)
            vector = units(rows[[row]])[0]
            among = np.intersect1d(embedding._index.get().candidates(vector, 3), among)
            names, cosines = best_of(rows, row, among.astype(int), 12)
            found = embedding.most_similar(
                row, topn=12, restrict_vocab=limit, probe=3, rows=numbers
            )
            assert {int(word[1:]) for word, _ in found} <= set(among)
            check([(int(word[1:]), c) for word, c in found], names, cosines)


def test_a_filter_decodes_no_other_rows(random, monkeypatch):
    table = random_table(random, True, rows=2_000)
    embedding, decoded = CompressedEmbedding.of_table(table, None), []
    decode = type(table).decode
    monkeypatch.setattr(
        type(table), "decode", lambda self, rows: decoded.extend(rows) or decode(self, rows)
    )
    embedding.most_similar(0, rows=[3, 900, 17])
    assert sorted({int(row) for row in decoded}) == [0, 3, 17, 900]


def test_nothing_to_look_at_is_nothing_found(table):
    embedding = CompressedEmbedding.of_table(table, None)
    embedding.build_index()
    for rows in ([], [4], np.zeros(table.num_rows, np.bool_)):
        for probe in (None, 2):
            assert embedding.most_similar(4, rows=rows, probe=probe) == []
    assert embedding.most_similar(4, topn=0, probe=1) == []


def test_all_ways_of_searching_take_both(random):
    embedding = CompressedEmbedding.of_table(clustered(random), None)
    embedding.build_index()
    rows = range(0, ROWS, 2)
    expected = [embedding.most_similar(key, probe=5, rows=rows) for key in (3, 8)]
    assert embedding.most_similar_batch([3, 8], probe=5, rows=rows) == expected
    found = embedding.similar_by_vector(embedding[3], probe=5, rows=rows)
    assert found == expected[0]  # 3 is not among the rows


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"probe": 0}, "probe is 0; wanted a number of lists"),
        ({"probe": True}, "probe is True"),
        ({"probe": 2.0}, "probe is 2.0"),
        ({"rows": [3, ROWS]}, "there is no row 3000 to search; wanted 0 to 2,999"),
        ({"rows": [-1]}, "there is no row -1"),
        ({"rows": [0.5]}, "of type float64"),
        ({"rows": 5}, r"shape \(\)"),
        ({"rows": [[1, 2]]}, r"shape \(1, 2\)"),
        ({"rows": [[1], [2, 3]]}, "rows to search"),
        ({"rows": [True, False]}, "of type bool"),
        ({"rows": ["w3"]}, "rows to search of type"),
        ({"rows": [1], "topn": None}, "topn=None returns the cosines of all rows"),
        ({"probe": 3, "topn": None}, "topn=None returns the cosines of all rows"),
    ],
)
def test_what_cannot_be_is_refused(random, options, what):
    embedding = CompressedEmbedding.of_table(clustered(random), None)
    embedding.build_index(lists=4)
    with pytest.raises(InputError, match=what):
        embedding.most_similar(0, **options)


def test_the_index_is_found_beside_the_table(random, table, tmp_path):
    path = tmp_path / "x.nnc"
    CompressedEmbedding.of_table(table, None).save(path)
    embedding = CompressedEmbedding.load(path)
    with pytest.raises(InputError, match=r"x\.nnc\.ivf does not exist; make it with: nncompress"):
        embedding.most_similar(0, probe=1)
    index = embedding.build_index()
    found = embedding.most_similar(0, probe=2)
    for options in ({}, {"copy": True}, {"verify": True}):
        assert CompressedEmbedding.load(path, **options).most_similar(0, probe=2) == found
    first = beside(path).read_bytes()
    again = read_index(beside(path), verify=True)
    for one, other in (
        (again.centres, index.centres),
        (again.lists.data, index.lists.data),
        (again.lists.lengths, index.lists.lengths),
        (again.witnesses, index.witnesses),
    ):
        np.testing.assert_array_equal(one, other)
    CompressedEmbedding.of_table(table, None).build_index(path)
    assert beside(path).read_bytes() == first


def test_a_table_in_no_file_has_its_index_in_memory(random):
    embedding = CompressedEmbedding.of_table(clustered(random), None)
    with pytest.raises(InputError, match=r"not in a file, has none; call build_index\(\)"):
        embedding.most_similar(0, probe=1)
    embedding.build_index()
    assert embedding.most_similar(0, probe=1)


def test_an_index_of_other_rows_is_refused_when_it_is_needed(random, tmp_path):
    path, table = tmp_path / "x.nnc", clustered(random)
    CompressedEmbedding.of_table(table, None).save(path)
    CompressedEmbedding.load(path).build_index()
    codes = table.codes(slice(None))
    for other, what in (
        (CodeTable.of_codes(codes[:-1], table.codebook), "3,000 rows of 12 columns.*2,999 of 12"),
        (CodeTable.of_codes(codes, table.codebook[:, :-1]), "3,000 of 11; make it again"),
        (CodeTable.of_codes(codes, table.codebook * 1.01), "other rows; make it again"),
        (CodeTable.of_codes(codes[::-1], table.codebook), "other rows; make it again"),
    ):
        CompressedEmbedding.of_table(other, None).save(path)
        embedding = CompressedEmbedding.load(path, verify=True)
        assert embedding.most_similar(0)
        with pytest.raises(InputError, match=what):
            embedding.most_similar(0, probe=1)


@pytest.mark.parametrize("lists", [0, -1, ROWS + 1])
def test_as_many_lists_as_there_cannot_be_are_refused(random, lists):
    with pytest.raises(InputError, match="lists for 3,000 rows; wanted 1 to 3,000"):
        CompressedEmbedding.of_table(clustered(random), None).build_index(lists=lists)


@pytest.mark.parametrize("num_rows", [1, 2, 5, 40])
@pytest.mark.parametrize("zeros", [False, True])
def test_small_tables_and_rows_of_zeros_have_an_index(random, num_rows, zeros):
    codebook = np.zeros((8, 3)) if zeros else random.normal(size=(8, 3))
    table = CodeTable.of_codes(random.integers(4, size=(num_rows, 2)), codebook)
    for lists in (None, 1, num_rows):
        embedding = CompressedEmbedding.of_table(table, None)
        count = embedding.build_index(lists=lists).num_lists
        found = embedding.most_similar(0, probe=count)
        assert found == CompressedEmbedding.of_table(table, None).most_similar(0)


def test_an_index_does_not_depend_on_the_number_of_threads(random, monkeypatch):
    table = clustered(random, 40_000)
    indexes = []
    for threads in (1, 3):
        monkeypatch.setattr(index_building, "usable_cores", lambda threads=threads: threads)
        indexes.append(build_index(table, 300))
    one, other = indexes
    np.testing.assert_array_equal(one.centres, other.centres)
    np.testing.assert_array_equal(one.lists.data, other.lists.data)


def test_few_rows_are_not_in_the_list_of_their_nearest_centre(random):
    table = clustered(random, 40_000)
    index = build_index(table)
    own = np.empty(40_000, np.int64)
    for which in range(index.num_lists):
        own[index.lists.read(np.array([which]))] = which
    products = table.decode(slice(None)) @ index.centres.astype(np.float32).T
    assert (products.argmax(axis=1) == own).mean() > 0.97


def test_a_damaged_index_never_crashes(random, tmp_path):
    path = tmp_path / "x.nnc"
    CompressedEmbedding.of_table(clustered(random, 600), None).save(path)
    CompressedEmbedding.load(path).build_index(lists=20)
    whole, outcomes, lines = beside(path).read_bytes(), [], 0
    for _ in range(600):
        changed = bytearray(whole)
        for place in random.integers(len(whole), size=random.integers(1, 4)):
            changed[place] = random.integers(256)
        if random.random() < 0.1:
            del changed[random.integers(len(changed)) :]
        beside(path).write_bytes(changed)
        try:
            found = CompressedEmbedding.load(path).most_similar(7, probe=8)
        except InputError as error:
            outcomes.append(type(error))
            lines += str(error).count("\n")
        else:
            outcomes.append(None)
            assert all(0 <= row < 600 for row, _ in found)
    assert {None, FormatError, InputError} == set(outcomes)
    assert lines == 0


def test_altered_sections_are_told_where_that_is_asked_for(random, tmp_path):
    path = tmp_path / "x.nnc"
    CompressedEmbedding.of_table(clustered(random), None).save(path)
    CompressedEmbedding.load(path).build_index()
    data = bytearray(beside(path).read_bytes())
    data[-1] ^= 1
    beside(path).write_bytes(data)
    assert CompressedEmbedding.load(path).most_similar(7, probe=1)
    with pytest.raises(FormatError, match=r"x\.nnc\.ivf: section 'rows' has been altered"):
        CompressedEmbedding.load(path, verify=True)


def test_another_kind_of_file_and_another_version_are_refused(random, tmp_path):
    path = tmp_path / "x.nnc"
    CompressedEmbedding.of_table(clustered(random), None).save(path)
    with pytest.raises(FormatError, match="another kind; wanted an index"):
        read_index(path)
    CompressedEmbedding.load(path).build_index()
    data = beside(path).read_bytes()
    beside(path).write_bytes(data.replace(b'"format_version":"1"', b'"format_version":"7"'))
    with pytest.raises(FormatError, match="format version 7, but this release reads version 1"):
        CompressedEmbedding.load(path).most_similar(0, probe=1)
