import warnings

import pytest

import nncompress
from nncompress import InputError, NotGoodEnough
from nncompress.evaluate.bootstrap import Figure
from nncompress.evaluate.evaluation import evaluate
from nncompress.evaluate.report import Report
from nncompress.evaluate.summary import warn_if_ruined
from nncompress.evaluate.table_gate import TableGate
from nncompress.sources import EmbeddingMatrix


@pytest.fixture
def words(tmp_path):
    return [f"w{i}" for i in range(300)]


@pytest.fixture
def pairs(tmp_path, random):
    lines = (f"w{i}\tw{i + 40}\t{random.integers(9)}\n" for i in range(200))
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    return tmp_path / "pairs.tsv"


def test_what_reaches_the_requirements_is_written(matrix, words, pairs, tmp_path):
    lines = []
    embedding = nncompress.compress(
        matrix, tmp_path / "x.nnc", cosine=0.97, words=words, pairs=[pairs], report=lines.append,
        require={"cosine": 0.96, "recall": 0.3, "pairs": -20},
    )  # fmt: skip
    again = evaluate(embedding, EmbeddingMatrix(matrix), [pairs]).report
    assert lines[-len(again.lines) :] == [f"{name}: {line}" for name, line in again.lines.items()]
    assert again.lines["pairs, pairs.tsv"].endswith("200 pairs")
    assert (tmp_path / "x.nnc").is_file()


@pytest.mark.parametrize("find", [False, True])
def test_nothing_is_written_of_what_falls_short(matrix, tmp_path, find):
    output = tmp_path / "x.nnc"
    output.write_text("what was there")
    size = {} if find else {"cosine": 0.9}
    told = "even .* bits a dimension falls short" if find else "falls short"
    with pytest.raises(NotGoodEnough, match=rf"^{told}: error \S+ \(wanted at most 1e-20\)"):
        nncompress.compress(
            matrix, output, **size, require={"error": 1e-20}, find=find, report=None
        )
    assert [path.name for path in tmp_path.iterdir()] == ["x.nnc"]
    assert output.read_text() == "what was there"


def test_a_search_ends_with_the_smallest_that_is_enough(matrix, tmp_path):
    lines = []
    found = nncompress.compress(
        matrix, tmp_path / "x.nnc", require={"cosine": 0.97}, find=True, report=lines.append
    )
    wanted = nncompress.compress(matrix, cosine=0.97, report=None)
    sizes = [each.table.row_bytes for each in (found, wanted)]
    assert sizes[0] < 1.1 * sizes[1]
    assert found.provenance["mean_cosine"] >= 0.97
    trials = [line for line in lines if "bits a dimension" in line and "wanted" in line]
    assert any("is enough" in line for line in trials)
    assert any("falls short" in line for line in trials)


def test_what_cannot_be_searched_or_measured_is_refused(matrix, words, pairs, tmp_path):
    for options, message in [
        ({"find": True}, "--find searches for the smallest size .* add --require"),
        ({"find": True, "require": {"error": 1}, "cosine": 0.9}, "--find searches for the size"),
        ({"find": True, "require": {"error": 1}, "num_codebooks": 4}, "without additive codes"),
        ({"find": True, "require": {"error": 1}, "curve": tmp_path / "c.json"}, "--curve shows"),
        ({"require": {"sts": -1}}, "sts is only measured for a model's folder; wanted error"),
        ({"require": {"pairs": -1}}, "is required, but has no data; add --pairs FILE"),
        ({"pairs": [pairs], "words": None}, "the table has no words"),
        ({"pairs": [tmp_path / "none"]}, "none does not exist"),
        ({"require": {"foo": 1}}, "unknown requirement 'foo'"),
    ]:
        with pytest.raises(InputError, match=message):
            nncompress.compress(matrix, report=None, **({"words": words} | options))
    with pytest.raises(InputError, match=r"recall=0\.5 is required, but 20 rows are too few"):
        nncompress.compress(matrix[:20], report=None, require={"recall": 0.5})


def test_a_table_of_which_little_is_left_is_warned_of(matrix):
    with pytest.warns(
        UserWarning, match=r"little is left of the table: an error of 0\.\d+ .*--bits-per-dim"
    ):
        nncompress.compress(matrix, num_codebooks=1, num_codewords=2, epochs=1, report=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Who has said what is enough is not warned.
        nncompress.compress(
            matrix, num_codebooks=1, num_codewords=2, epochs=1, report=None,
            require={"error": 5, "cosine": -1},
        )  # fmt: skip
    assert not any("little is left" in str(each.message) for each in caught)


def test_warnings_name_what_is_lost():
    def figures(**values):
        return Report({name: Figure(y, y, y) for name, y in values.items()})

    for values, told in [
        ({"error": 0.3, "recall": 0.8}, "an error of 0.3 of the variance; use"),
        ({"error": 0.2, "recall": 0.1}, "table: 0.1 of the nearest neighbours; use"),
        ({"error": 0.5, "recall": 0.1}, "variance and 0.1 of the nearest"),
        ({"error": 0.5}, "an error of 0.5"),
    ]:
        with pytest.warns(UserWarning, match=told):
            warn_if_ruined(figures(**values))
    warn_if_ruined(figures(error=0.2, recall=0.5))  # as does this, of which nothing is said


def test_a_gate_takes_requirements_in_either_form():
    asked = TableGate({"error": 0.5}).requirements
    assert TableGate(asked).requirements is asked
