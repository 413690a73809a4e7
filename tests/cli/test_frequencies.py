import json

import numpy as np
import pytest

import nncompress
from nncompress.cli.main import main
from nncompress.errors import InputError
from nncompress.jobs import large
from nncompress.plan import Plan

WORDS = [f"w{i}" for i in range(1_200)]


@pytest.fixture
def rows(random):
    sizes = random.uniform(0.5, 2, size=(1_200, 1))
    return (sizes * random.normal(size=(1_200, 10))).astype(np.float32)


@pytest.fixture
def ask(tmp_path, rows, monkeypatch, capsys):
    """Runs ``nncompress compress`` on a table in the working directory; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    np.save("m.npy", rows)
    (tmp_path / "m.word").write_text("".join(f"{word}\n" for word in WORDS))
    # The words in the middle of the table are those that occur.
    counts = {f"w{(700 + i) % 1_200}": 10**6 // (i + 1) for i in range(800)}
    (tmp_path / "f.txt").write_text("".join(f"{w}\t{n}\n" for w, n in counts.items()))
    (tmp_path / "others.txt").write_text("W700 5\nof 3\n")
    (tmp_path / "f.txt.gz").write_text("w700 5\n")
    (tmp_path / "text").write_text("w700 w701 w700 w702\nw700 other\n" * 40)

    def run(*arguments, output="m.nnc"):
        main(["compress", "m.npy", output, *map(str, arguments)])
        return capsys.readouterr().out

    return run


def by_frequency(rows, frequencies, path):
    """Returns the mean squared distances of frequent rows, and of the others."""
    squares = ((nncompress.CompressedEmbedding.load(path).to_numpy() - rows) ** 2).sum(axis=1)
    frequent = np.isin(WORDS, list(frequencies))
    return squares[frequent].mean(), squares[~frequent].mean()


def test_rows_that_occur_more_are_kept_more_closely_in_the_same_bytes(ask, rows, tmp_path):
    plain = json.loads(ask("--residual-bits", 25, "--json", output="plain.nnc"))
    facts = json.loads(ask("--residual-bits", 25, "--frequencies", "f.txt", "--json"))
    assert all(24.5 < each["row_bits"] <= 25 for each in (plain, facts))
    assert "matched_rows" not in plain
    assert facts["matched_rows"] == 800
    assert facts["weighted"] is facts["adaptive"] is True
    assert facts["error_by_frequency"] < 0.75 * facts["error_by_frequency_without_frequencies"]
    assert facts["error_of_rows"] > facts["error_of_rows_without_frequencies"]
    most = [f"w{i}" for i in range(700, 720)]
    before, after = (by_frequency(rows, most, tmp_path / name) for name in ("plain.nnc", "m.nnc"))
    assert after[0] < 0.3 * before[0]
    assert before[1] < after[1] < 2 * before[1]
    info = nncompress.CompressedEmbedding.load(tmp_path / "m.nnc").provenance
    assert info["error_by_frequency"] == facts["error_by_frequency"]


@pytest.mark.usefixtures("ask")
def test_what_is_matched_and_bought_is_told(capsys):
    main(["compress", "m.npy", "m.nnc", "--target-cosine", "0.97", "--frequencies", "f.txt"])
    said = capsys.readouterr().err
    assert "Frequencies of f.txt: 800 of 1,200 rows matched, with 100.0% of everything" in said
    assert "by frequency, " in said
    assert "with equal weights; without frequencies, at the same size, about " in said
    main(["compress", "m.npy", "m.nnc", "--frequencies", "f.txt", "--dry-run", "--json"])
    forecast = json.loads(capsys.readouterr().out)
    assert forecast["file_bytes"] > 0


def test_words_are_counted_in_a_text_and_python_takes_a_mapping(ask, rows, tmp_path):
    facts = json.loads(ask("--residual-bits", 25, "--corpus", "text", "--json"))
    assert facts["matched_rows"] == 3
    emb = nncompress.compress(
        tmp_path / "m.npy", residual_bits=25, report=None,
        frequencies={"w700": 120, "w701": 40, "w702": 40, "other": 40},
    )  # fmt: skip
    assert emb.provenance["error_by_frequency"] == facts["error_by_frequency"]
    np.testing.assert_array_equal(
        emb.to_numpy(), nncompress.CompressedEmbedding.load(tmp_path / "m.nnc").to_numpy()
    )


def test_additive_codes_are_learnt_by_frequencies(ask):
    facts = json.loads(ask("-M", 2, "-K", 8, "-e", 3, "--frequencies", "f.txt", "--json"))
    assert facts["weighted"] is True
    assert facts["error_by_frequency"] < facts["error_of_rows"]
    assert "error_by_frequency_without_frequencies" not in facts


def test_where_bits_go_by_length_frequencies_count_beside_it():
    sizes = {"residual_bits": 25.0, "by_frequency": True}
    assert not Plan.of(**sizes).has_bits_by_length
    for more in ({"adaptive": True, **sizes}, {"cosine": 0.9, "by_frequency": True},
                 {"by_frequency": True}):  # fmt: skip
        plan = Plan.of(**more)
        assert plan.has_bits_by_weight
        assert plan.has_bits_by_length
    assert not Plan.of(cosine=0.9).has_bits_by_length
    codes = Plan.of(num_codebooks=2, residual_bits=9.0, by_frequency=True)
    assert codes.has_bits_by_weight
    assert not codes.has_bits_by_length


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frequencies", "f.txt", "--weights", "m.npy"], "weights and frequencies were given"),
        (["--frequencies", "f.txt", "--corpus", "text"], "were both given; wanted only one"),
        (["--frequencies", "none.txt"], "none.txt does not exist; wanted words and their counts"),
        (["--corpus", "none.txt"], "none.txt does not exist; wanted a text"),
        (["--corpus", "f.txt.gz"], "f.txt.gz cannot be decompressed"),
        (["--frequencies", "others.txt"], "others.txt has no count above 0 for any word of the"),
        (["--frequencies", "text"], "text, line 1: the count 'w702' is not a number"),
    ],
)
def test_mistakes_are_told_in_a_line_and_nothing_is_written(ask, tmp_path, arguments, message):
    for more in ([], ["--dry-run"]):
        with pytest.raises(InputError, match=message) as raised:
            ask("--residual-bits", 25, *arguments, *more)
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "m.nnc").exists()


def test_frequencies_are_never_written_over(ask, tmp_path):
    before = (tmp_path / "f.txt").read_bytes()
    for flag, file in (("--frequencies", "f.txt"), ("--corpus", "text")):
        with pytest.raises(InputError, match=f"{file} is the input itself"):
            ask(flag, file, output=file)
    assert (tmp_path / "f.txt").read_bytes() == before


def test_a_model_learnt_on_a_sample_has_no_use_for_them(ask, monkeypatch):
    monkeypatch.setattr(large, "_MOST_ROWS", 1_000)
    for more in ([], ["--dry-run"]):
        with pytest.raises(InputError, match=r"were given for 1,200 rows; .* so leave them out"):
            ask("--residual-bits", 25, "--frequencies", "f.txt", *more)
