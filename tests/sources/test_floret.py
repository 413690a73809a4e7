from types import SimpleNamespace

import numpy as np
import pytest

from nncompress import InputError
from nncompress.sources.subword_sources import subword_model
from nncompress.sources.tables import open_table
from tests.sources.fasttext_files import trained

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8


def text(header="4 3 2 5 2 17 < >", rows=ROWS, first=0):
    lines = [f"{i} {' '.join(map(str, row))} " for i, row in enumerate(rows.tolist(), first)]
    return "\n".join([header, *lines, ""])


def read(path, **options):
    with open_table(path, **options) as table:
        return table.matrix.take(np.arange(len(table.matrix))), table


def test_rows_and_settings_are_read(tmp_path):
    path = tmp_path / "vectors.floret"
    path.write_text(text())
    rows, table = read(path)
    ngrams = table.subwords.ngrams
    assert (rows == ROWS).all()
    assert table.words == []
    assert (ngrams.kind, ngrams.min_n, ngrams.max_n) == ("floret", 2, 5)
    assert (ngrams.num_buckets, ngrams.hash_count, ngrams.seed) == (4, 2, 17)
    assert (ngrams.begin, ngrams.end) == ("<", ">")


def test_spacys_vectors_are_taken_too():
    vectors = SimpleNamespace(
        mode="floret", data=ROWS, minn=2, maxn=5, hash_count=2, hash_seed=17, bow="<", eow=">"
    )
    rows, table = read(vectors)
    assert (rows == ROWS).all()
    assert table.subwords.num_buckets == 4


def test_a_text_prunes_buckets(tmp_path):
    path, corpus = tmp_path / "vectors.floret", tmp_path / "corpus.txt"
    path.write_text(text("4 3 9 9 1 17 < >"))
    corpus.write_text("a")
    with pytest.raises(InputError, match="--corpus"):
        read(path, prune=True)
    rows, table = read(path, prune=True, corpus=corpus)
    assert rows.tolist() == ROWS[table.subwords.kept].tolist()
    assert len(rows) == 1


def test_text_of_seven_numbers_a_row_is_no_floret(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("1 2 3 4 5 6 7 8\nword 2 3 4 5 6 7 8\n")
    assert subword_model(path) is None


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (text("5 3 2 5 2 17 < >"), "promises 5 buckets, but 4 follow"),
        (text("4 2 2 5 2 17 < >"), "bucket '0 0.0'"),
        (text(first=1), "line 2: bucket '1'; wanted 0"),
        (text("4 3 2 5 9 17 < >"), "9 for each n-gram"),
        (text("4 0 2 5 2 17 < >"), "0 columns"),
        (text("4 3 2 5 2 9999999999 < >"), "the seed 9999999999"),
    ],
)
def test_other_text_is_refused(tmp_path, given, seen):
    path = tmp_path / "vectors.floret"
    path.write_text(given)
    with pytest.raises(InputError, match=seen):
        read(path)


def test_rows_are_florets(tmp_path):
    model = trained(tmp_path, module="floret", mode="floret", hashCount=2, minn=2, maxn=4)
    path = tmp_path / "vectors.floret"
    model.save_floret_vectors(str(path))
    rows, _ = read(path)
    np.testing.assert_allclose(rows, model.get_input_matrix()[len(model.words) :], rtol=1e-4)
