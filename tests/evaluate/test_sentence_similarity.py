import numpy as np
import pytest

from nncompress import InputError
from nncompress.evaluate.sentence_similarity import read_sentence_pairs, sts
from nncompress.evaluate.word_similarity import word_similarity, word_similarity_of_texts

TEXT = 'A cat sits.,"A cat, sitting.",4.5\n"He said ""no"".","two\nlines",0\na,b,2.5e0\n'
PAIRS = [("A cat sits.", "A cat, sitting.", 4.5), ('He said "no".', "two\nlines", 0.0),
         ("a", "b", 2.5)]  # fmt: skip


@pytest.mark.parametrize(
    "heading", ["", "sentence1,sentence2,score\n", "\ufeff", "\ufeffa,b,label\n"]
)
def test_csv_is_read_as_it_is_written(tmp_path, heading):
    (tmp_path / "x.csv").write_text(heading + TEXT, encoding="utf-8")
    assert read_sentence_pairs(tmp_path / "x.csv") == PAIRS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,1\nc,d\n", "line 2: 'c,d'; wanted two sentences and a number"),
        ("a,b,1\nc,d,e\n", "line 2: 'c,d,e'; wanted"),
        ("a,b,5..0\nc,d,1\n", r"line 1: 'a,b,5\.\.0'; wanted"),
        ("a,b,1\na,b,nan\n", "line 2: 'a,b,nan'; wanted"),
        ("a, b, c, 1\n", "line 1: .*quotes around sentences"),
        ('a,"b" c,1\n', "line 1: .* wanted two sentences and a number as CSV"),
        ('a,"b\n', "wanted two sentences and a number as CSV"),
        ("a,b,1\n", "has 1 pairs of sentences; wanted at least two"),
        (b"\xff,b,1\n", "line 1: invalid UTF-8"),
    ],
)
def test_other_lines_are_told_by_their_number(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_sentence_pairs(path)
    with pytest.raises(InputError, match="is a directory; wanted a CSV file"):
        read_sentence_pairs(tmp_path)


@pytest.fixture
def encoders(random):
    """Two encoders by a lookup, and the texts that they know."""
    texts = [f"text {i}" for i in range(60)]
    before = random.normal(size=(60, 8))
    after = before + 0.5 * random.normal(size=(60, 8))

    def encoder(rows):
        return lambda wanted: np.array([rows[texts.index(text)] for text in wanted])

    return encoder(before), encoder(after), texts


def expected(encode, pairs):
    stats = pytest.importorskip("scipy.stats")
    cosines = []
    for one, other, _ in pairs:
        x, y = encode([one, other])
        cosines.append(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    return 100 * stats.spearmanr(cosines, [pair[2] for pair in pairs])[0]


def test_scores_are_spearmans_correlations_with_people(encoders, random):
    before, after, texts = encoders
    pairs = [(texts[i], texts[i + 30], float(random.integers(6))) for i in range(30)]
    score = sts(before, after, pairs, "x.csv")
    assert score.original.value == pytest.approx(expected(before, pairs))
    assert score.compressed.value == pytest.approx(expected(after, pairs))
    assert score.change.value == pytest.approx(expected(after, pairs) - expected(before, pairs))
    assert score.change.low < score.change.value < score.change.high
    assert score.facts["difference"]["value"] == pytest.approx(score.change.value, rel=1e-4)
    assert (score.task, score.data, score.items) == ("sts", "x.csv", "30 pairs")
    same = sts(before, before, pairs)
    assert (same.change.low, same.change.value, same.change.high) == (0, 0, 0)


def test_words_are_compared_in_tables_and_as_texts(encoders, tmp_path):
    before, after, texts = encoders
    people = [(texts[i], texts[i + 30], float(i * i % 11)) for i in range(30)]
    lines = "".join(f"{one}\t{other}\t{number}\n" for one, other, number in people)
    (tmp_path / "p.tsv").write_text("# people\n" + lines + "text 1\tmissing\t3\n")
    rows = [encode(texts) for encode in (before, after)]
    known = {text.upper(): i for i, text in enumerate(texts)}
    score = word_similarity(known, *(each.__getitem__ for each in rows), tmp_path / "p.tsv")
    assert score.original.value == pytest.approx(expected(before, people))
    assert score.compressed.value == pytest.approx(expected(after, people))
    assert (score.task, score.data, score.items) == ("pairs", "p.tsv", "30 pairs")
    (tmp_path / "p.tsv").write_text(lines)
    assert word_similarity_of_texts(before, after, tmp_path / "p.tsv").change == score.change
    (tmp_path / "one.tsv").write_text("text 1\ttext 2\t3\n")
    with pytest.raises(InputError, match=r"one\.tsv has 1 pairs"):
        word_similarity_of_texts(before, after, tmp_path / "one.tsv")
    with pytest.raises(InputError, match=r"one\.tsv has 1 pairs of words that are in the table"):
        word_similarity(known, *(each.__getitem__ for each in rows), tmp_path / "one.tsv")
