import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.embedding.word_tests import evaluate_word_pairs

ROOT = Path(__file__).resolve().parents[2]

PAIRS = (
    "# people\na\tB\t9.5\nb\tc\t1\nc\td\t3\nno number\na\td\t3\tfour fields\na\tc\t0.5\n"
    "a\tmissing\t2\n"
)
ANALOGIES = """: letters
a b c d
a B C e
a b c missing
a b c
: others

d c b a
e a b c
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "pairs").write_text(PAIRS)
    (tmp_path / "analogies").write_text(ANALOGIES)
    return tmp_path / "pairs", tmp_path / "analogies"


@pytest.fixture
def lettered(random):
    codes = random.integers(16, size=(40, 6))
    codebook = random.normal(size=(96, 8)).astype(np.float32)
    words = ["a", "B", "b", "c", "d", "e", *[f"w{i}" for i in range(34)]]
    return CompressedEmbedding.from_codes(codes, codebook, words)


def test_correlations_are_those_of_cosines_and_people(files, lettered):
    stats = pytest.importorskip("scipy.stats")
    pearson, spearman, unknown = lettered.evaluate_word_pairs(files[0])
    people = [9.5, 1, 3, 0.5]
    # In upper case the first of B and b has the word.
    cosines = [lettered.similarity(*pair) for pair in ("aB", "Bc", "cd", "ac")]
    assert pearson == pytest.approx(tuple(stats.pearsonr(people, cosines)))
    assert spearman == pytest.approx(tuple(stats.spearmanr(people, cosines)))
    assert unknown == 20.0


@pytest.mark.parametrize("case_insensitive", [True, False])
@pytest.mark.parametrize("dummy4unknown", [True, False])
@pytest.mark.parametrize("restrict_vocab", [5, 300_000, None])
def test_gensim_gives_the_same_results(
    files, lettered, case_insensitive, dummy4unknown, restrict_vocab
):
    pytest.importorskip("gensim")
    theirs = lettered.to_gensim()
    options = {
        "case_insensitive": case_insensitive,
        "dummy4unknown": dummy4unknown,
        "restrict_vocab": restrict_vocab,
    }
    ours = lettered.evaluate_word_pairs(files[0], **options)
    expected = theirs.evaluate_word_pairs(files[0], **options)
    for one, other in zip(ours[:2], expected[:2], strict=True):
        assert one == pytest.approx(tuple(other))
    assert ours[2] == pytest.approx(expected[2])
    score, sections = lettered.evaluate_word_analogies(files[1], **options)
    their_score, their_sections = theirs.evaluate_word_analogies(files[1], **options)
    assert score == pytest.approx(their_score)
    assert sections == their_sections


def test_files_that_cannot_be_used_are_told(lettered, tmp_path, table):
    pytest.importorskip("scipy")
    with pytest.raises(InputError, match="does not exist"):
        lettered.evaluate_word_pairs(tmp_path / "none")
    path = tmp_path / "x"
    path.write_text("a b c\n")
    with pytest.raises(InputError, match="0 pairs of words that the table has"):
        lettered.evaluate_word_pairs(path)
    with pytest.raises(InputError, match="line 1: 'a b c'; wanted a line ': SECTION'"):
        lettered.evaluate_word_analogies(path)
    with pytest.raises(InputError, match="is a directory"):
        lettered.evaluate_word_pairs(tmp_path)
    with pytest.raises(InputError, match="the delimiter is empty"):
        lettered.evaluate_word_pairs(path, delimiter="")
    with pytest.raises(InputError, match="cannot be read as bogus text"):
        lettered.evaluate_word_pairs(path, encoding="bogus")
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="cannot be read as utf8 text"):
        lettered.evaluate_word_analogies(path)
    with pytest.raises(InputError, match="the table has no words"):
        CompressedEmbedding.from_codes(*table[:2]).evaluate_word_analogies(path)


@pytest.mark.parametrize("module", ["word_tests", "bridges.gensim_vectors"])
def test_what_uses_a_table_does_not_need_the_class(module):
    if module == "bridges.gensim_vectors":
        pytest.importorskip("gensim")
    script = f"""
import sys, nncompress.embedding.{module}
raise SystemExit("nncompress.embedding.compressed" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_any_table_that_compares_words_can_be_tested(files, lettered):
    pytest.importorskip("gensim")
    table = SimpleNamespace(
        has_words=True, index_to_key=list(lettered), similarity=lettered.to_gensim().similarity
    )
    theirs = evaluate_word_pairs(table, files[0])
    ours = lettered.evaluate_word_pairs(files[0])
    assert theirs[0] == pytest.approx(ours[0])


def test_the_right_answer_is_found_behind_rows_without_a_word(random, tmp_path):
    codebook = np.eye(16)[:, :8]
    codebook[3] = codebook[1] - codebook[0] + codebook[2]
    codes = np.array([[0], [1], [2], *[[3]] * 7, [5], [6]])
    words = ["a", "b", "c", *[None] * 6, "d", "e", "f"]
    embedding = CompressedEmbedding.from_codes(codes, codebook, words)
    (tmp_path / "x").write_text(": s\na b c d\n")
    assert embedding.evaluate_word_analogies(tmp_path / "x")[0] == 1.0
