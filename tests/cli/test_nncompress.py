import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding, FormatError, InputError
from nncompress.cli.main import main
from nncompress.embedding.codes import write_codebook, write_codes
from tests.embedding.residual_tables import random_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path, random):
    codes = random.integers(16, size=(500, 8))
    codebook = random.normal(size=(128, 20)).astype(np.float32)
    words = [f"w{i}" for i in range(500)]
    embedding = CompressedEmbedding.from_codes(codes, codebook, words)
    embedding.save(tmp_path / "x.nnc")
    return tmp_path / "x.nnc"


def test_a_table_is_compressed_looked_into_and_evaluated(ask, matrix_path, matrix, tmp_path):
    (tmp_path / "matrix.word").write_text("".join(f"w{i}\n" for i in range(300)))
    output = tmp_path / "m.nnc"
    arguments = ["compress", matrix_path, output, "-M", 4, "-K", 8, "-e", 20]
    assert "time" in ask(*arguments, "--dry-run")
    expected = json.loads(ask(*arguments, "--dry-run", "--json"))
    assert not output.exists()
    facts = json.loads(ask(*arguments, "--json", "--codebook-dtype", "float16"))
    assert facts["rows"] == facts["words"] == 300
    assert (facts["M"], facts["K"], facts["columns"]) == (4, 8, 12)
    assert facts["file_bytes"] == output.stat().st_size
    assert expected["file_bytes"] < facts["file_bytes"] < expected["file_bytes"] + 2_000
    assert "codebook_dtype  float16" in ask("info", output, "--verify")
    measured = json.loads(
        ask("evaluate", matrix_path, output, "--json", "--plot", tmp_path / "p.png")
    )
    assert measured["mean_distance"] == pytest.approx(facts["mean_distance"])
    assert 0 < measured["quality"]["recall"]["value"] <= 1
    assert measured["quality"]["error"] == facts["quality"]["error"]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    lines = ask("evaluate", matrix_path, output).splitlines()
    assert ["mean_distance", f"{facts['mean_distance']:.5g}"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    "flags",
    [
        *([], ["--bits-per-dim", 25], ["--target-bytes-per-row", 40], ["--target-distance", 2]),
        *(["--target-cosine", 0.9], ["--target-recall", 0.8, "--adaptive"]),
        ["--residual-bits", 30], ["-M", 4, "-K", 8, "--residual-bits", 30],
    ],
)  # fmt: skip
def test_a_dry_run_tells_what_one_number_comes_to(ask, matrix_path, tmp_path, flags):
    arguments = ["compress", matrix_path, tmp_path / "m.nnc", *flags, "--dry-run"]
    curve = tmp_path / "c.json"
    facts = json.loads(ask(*arguments, "--json", "--curve", curve))
    assert facts["curve"]
    assert len(json.loads(curve.read_text())["points"]) == len(facts["curve"])
    printed = ask(*arguments).splitlines()
    assert printed[0].split() == ["bits", "a", "row", "bytes", "a", "row", "distance", "cosine",
                                  "recall@10"]  # fmt: skip
    assert [line.split()[0] for line in printed[-4:]] == ["file", "original", "time", "memory"]


def test_a_table_is_compressed_to_one_number(ask, capsys, matrix_path, tmp_path):
    output = tmp_path / "m.nnc"
    main(["compress", str(matrix_path), str(output), "--target-cosine", "0.97"])
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert lines[0] == "Choosing the step for a mean cosine of 0.97"
    assert "All rows:" in lines
    assert "All rows:" not in printed.out  # which is for the result
    facts = json.loads(ask("compress", matrix_path, output, "--target-cosine", 0.97, "--json"))
    assert 0.97 <= facts["mean_cosine"] < 0.972
    assert facts["curve"]
    assert facts["target"] == "a mean cosine of 0.97"


def test_nearest_words_and_analogies_are_listed(ask, path):
    embedding = CompressedEmbedding.load(path)
    nearest = embedding.most_similar("w3", topn=4)
    lines = ask("similar", path, "w3", "w5", "-n", 4).splitlines()
    assert lines[0].split() == ["nearest", "to", "w3", "cosine"]
    assert [line.split()[0] for line in lines[1:5]] == [word for word, _ in nearest]
    assert lines[5] == ""
    found = json.loads(ask("similar", path, "w3", "--json"))
    assert found["w3"][:4] == [list(pair) for pair in nearest]
    answers = embedding.most_similar(["w2", "w3"], ["w1"], topn=5)
    assert json.loads(ask("analogy", path, "w1", "w2", "w3", "--json"))["answers"] == [
        list(pair) for pair in answers
    ]
    assert ask("analogy", path, "w1", "w2", "w3").splitlines()[1].startswith(answers[0][0])


def test_an_index_is_made_and_looked_into(ask, path):
    with pytest.raises(
        InputError, match=r"x\.nnc\.ivf does not exist; make it with: nncompress index"
    ):
        ask("similar", path, "w3", "--probe", 2)
    facts = json.loads(ask("index", path, "--lists", 12, "--json"))
    assert facts["lists"] == 12
    assert facts["file_bytes"] == Path(facts["file"]).stat().st_size
    embedding = CompressedEmbedding.load(path)
    for probe in (2, 12):
        found = json.loads(ask("similar", path, "w3", "--json", "--probe", probe))["w3"]
        assert found == [list(pair) for pair in embedding.most_similar("w3", probe=probe)]
    assert found == json.loads(ask("similar", path, "w3", "--json"))["w3"]
    lines = ask("index", path).splitlines()
    assert lines[0].startswith(f"{path}.ivf  ")
    assert lines[1].split() == ["lists", "89,", "of", "6", "rows", "on", "average"]
    with pytest.raises(InputError, match="0 lists for 500 rows; wanted 1 to 500"):
        ask("index", path, "--lists", 0)


def test_without_words_rows_are_named_by_number(ask, path):
    embedding = CompressedEmbedding.load(path)
    CompressedEmbedding(embedding.table, None).save(path)
    nearest = embedding.most_similar("w3", topn=1)[0][0]
    assert ask("similar", path, "3", "-n", 1).splitlines()[1].split()[0] == nearest[1:]


def test_vectors_are_exported(ask, path, tmp_path):
    printed = json.loads(ask("export", path, tmp_path / "x.npy", "--to", "npy", "--json"))
    assert set(printed["files"]) == {str(tmp_path / "x.npy"), str(tmp_path / "x.word")}
    assert (np.load(tmp_path / "x.npy") == CompressedEmbedding.load(path).to_numpy()).all()


@pytest.fixture
def codes_and_codebook(path, tmp_path):
    table = CompressedEmbedding.load(path).table
    write_codes(tmp_path / "m.codes", table.codes(slice(None)))
    write_codebook(tmp_path / "m.codebook.npy", table.codebook)
    return tmp_path / "m.codes", tmp_path / "m.codebook.npy"


def test_codes_in_text_are_imported(ask, path, codes_and_codebook, tmp_path):
    (tmp_path / "m.word").write_text("".join(f"w{i}\n" for i in range(500)))
    arguments = ["import", *codes_and_codebook, tmp_path / "m.nnc"]
    facts = json.loads(ask(*arguments, "--words", tmp_path / "m.word", "--json"))
    assert (facts["rows"], facts["words"], facts["M"], facts["K"]) == (500, 500, 8, 16)
    assert facts["source"] == "m.codes, m.codebook.npy"
    original = CompressedEmbedding.load(path)
    read = CompressedEmbedding.load(tmp_path / "m.nnc", verify=True)
    assert list(read) == list(original)
    assert (read.to_numpy() == original.to_numpy()).all()
    assert "words           0\n" in ask(*arguments)


def test_what_is_imported_is_never_overwritten(ask, codes_and_codebook, tmp_path):
    (tmp_path / "m.word").write_text("a\n")
    inputs = *codes_and_codebook, tmp_path / "m.word"
    before = [path.read_bytes() for path in inputs]
    for output in inputs:
        with pytest.raises(InputError, match="is the input itself"):
            ask("import", *codes_and_codebook, output, "--words", tmp_path / "m.word")
    assert [path.read_bytes() for path in inputs] == before


def test_the_output_is_checked_before_the_codes_are_read(ask, tmp_path):
    with pytest.raises(InputError, match="is a directory; wanted the name of a file"):
        ask("import", tmp_path / "none.codes", tmp_path / "none.npy", tmp_path)


def test_more_words_than_codes_are_one_line_of_warning(codes_and_codebook, tmp_path):
    (tmp_path / "m.word").write_text("".join(f"w{i}\n" for i in range(600)))
    command = [sys.executable, "-m", "nncompress", "import", *map(str, codes_and_codebook)]
    result = subprocess.run(
        [*command, str(tmp_path / "m.nnc"), "--words", str(tmp_path / "m.word")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    assert result.stderr.startswith("nncompress: warning: 600 words for the 500 rows of")
    assert len(result.stderr.splitlines()) == 1


def test_weights_are_those_of_the_rows_before_a_limit(ask, matrix_path, tmp_path):
    np.save(tmp_path / "w.npy", np.arange(300.0))
    arguments = ["compress", matrix_path, tmp_path / "y.nnc", "-M", 4, "-K", 8, "-e", 5]
    weighted = [*arguments, "--limit", 100, "--weights", tmp_path / "w.npy"]
    assert json.loads(ask(*weighted, "--json"))["weighted"] is True
    with pytest.raises(InputError, match="does not exist"):
        ask(*arguments, "--weights", tmp_path / "none.npy", "--dry-run")


def test_an_input_is_never_overwritten(ask, matrix_path, path, tmp_path):
    before = matrix_path.read_bytes(), path.read_bytes()
    for arguments in (
        ["compress", matrix_path, matrix_path, "-M", 4, "-K", 8],
        ["export", path, path, "--to", "glove"],
    ):
        with pytest.raises(InputError, match="is the input itself"):
            ask(*arguments)
    assert (matrix_path.read_bytes(), path.read_bytes()) == before
    with pytest.raises(InputError, match="is not a regular file"):
        ask("compress", matrix_path, "/dev/null")


def test_what_a_file_says_of_itself_is_shown_as_text_and_not_believed(ask, path):
    embedding = CompressedEmbedding.load(path)
    embedding.provenance |= {"rows": 10**9, "verified": True, "source": "a\x1b[31m\ud800"}
    embedding.save(path)
    shown = ask("info", path)
    assert "\x1b" not in shown
    assert "10000" not in shown.replace(",", "")
    facts = json.loads(ask("info", path, "--json"))
    assert facts["rows"] == 500
    assert "verified" not in facts
    assert json.loads(ask("info", path, "--json", "--verify"))["verified"] is True


def test_facts_within_a_fact_are_lines_of_their_own_and_told_once(ask, path):
    embedding = CompressedEmbedding.load(path)
    encoding = {"seed": 7, "objective": "cosine", "verified": True, "rows": 10**9, "a\x1b[2J": 1}
    embedding.provenance |= {"objective": "distance", "encoding": encoding}
    embedding.save(path)
    lines = [line.split(maxsplit=1) for line in ask("info", path).splitlines()]
    shown = dict(lines)
    assert len(shown) == len(lines)
    assert (shown["seed"], shown["objective"], shown["rows"]) == ("7", "distance", "500")
    assert shown[r"a\x1b[2J"] == "1"
    assert not {"encoding", "verified"} & shown.keys()
    assert json.loads(ask("info", path, "--json"))["encoding"] == encoding


def test_how_many_rows_have_words_is_told_where_some_have_none(ask, tmp_path, random):
    table = random_table(random, True, 8)
    CompressedEmbedding.of_table(table, ["a", None, "b"], {}).save(tmp_path / "x.nnc")
    shown = ask("info", tmp_path / "x.nnc")
    assert re.search(r"^words +2 of 70 rows have a word of their own$", shown, re.M)
    assert json.loads(ask("info", tmp_path / "x.nnc", "--json"))["words"] == 2


@pytest.mark.parametrize("additive", [False, True])
def test_the_command_takes_tables_with_residuals(ask, tmp_path, random, additive):
    table = random_table(random, additive, 8)
    embedding = CompressedEmbedding.of_table(table, [f"w{i}" for i in range(70)], {"M": 9})
    path = tmp_path / "x.nnc"
    embedding.save(path)
    facts = json.loads(ask("info", path, "--verify", "--json"))
    assert facts["file_bytes"] == path.stat().st_size
    assert (facts["axes"], facts["trellis_states"], facts["rows_per_block"]) == (6, 16, 3)
    assert facts["row_bits"] == pytest.approx(8 * table.row_bytes, abs=0.01)
    assert facts["shared_bytes"] == table.shared_bytes
    named = (facts["M"], facts["K"], facts["codebook_dtype"]) if additive else "M" in facts
    assert named == ((3, 11, "8 bits") if additive else False)
    assert json.loads(ask("similar", path, "w3", "--json"))
    for to in ("word2vec", "glove", "npy"):
        ask("export", path, tmp_path / "out.npy", "--to", to)
    exported = np.load(tmp_path / "out.npy")
    np.testing.assert_allclose(exported, embedding.to_numpy(), rtol=1e-5)
    measured = json.loads(ask("evaluate", tmp_path / "out.npy", path, "--json"))
    assert measured["quality"]["cosine"]["value"] == pytest.approx(1)


def test_sizes_are_written_in_the_unit_that_suits_them():
    from nncompress.cli.printing import format_bytes

    sizes = [7, 999, 1_000, 999_999, 8_540_000, 12 * 10**9]
    written = ["7 bytes", "999 bytes", "1 kB", "1 MB", "8.54 MB", "12 GB"]
    assert [format_bytes(size) for size in sizes] == written


def test_mistakes_are_named(ask, path, tmp_path):
    (tmp_path / "no.nnc").write_text("no")
    for arguments, error, message in [
        (["similar", path, "foo", "bar"], InputError, "'foo': .*; 'bar': not among the 500 words"),
        (["analogy", path, "w1", "w2", "foo"], InputError, "'foo': not among"),
        (["info", tmp_path / "none.nnc"], InputError, "does not exist"),
        (
            ["info", tmp_path / "no.nnc"],
            FormatError,
            "has only 2 bytes; wanted a compressed embedding",
        ),
        (["evaluate", path, path], InputError, "is already a compressed embedding"),
        (["evaluate", path, path, "--plot", "x.doc"], InputError, "does not end in"),
        (["compress", tmp_path / "none.txt", tmp_path / "y.nnc"], InputError, "does not exist"),
        (["import", path, path, tmp_path / "y.nnc"], InputError, r"x\.nnc"),
        (["compress", path, tmp_path / "y.nnc", "-e", 3], InputError, "--epoch is for additive"),
        (["compress", path, tmp_path], InputError, "is a directory; wanted the name of a file"),
    ]:
        with pytest.raises(error, match=message):
            ask(*arguments)
    assert not (tmp_path / "y.nnc").exists()


def test_a_mistake_is_one_line_and_status_2(path):
    result = subprocess.run(
        [sys.executable, "-m", "nncompress", "similar", str(path), "foo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("nncompress: error: 'foo': not among the 500 words")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    ["compress", "info", "index", "similar", "analogy", "evaluate", "export", "import"],
)
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"example: nncompress {command}" in capsys.readouterr().out


def test_outputs_and_pairs_are_checked_before_anything_is_measured(
    ask, path, tmp_path, random, monkeypatch
):
    original = tmp_path / "original.npy"
    np.save(original, random.normal(size=(500, 20)).astype(np.float32))

    def never(*arguments):
        raise AssertionError("measured")

    monkeypatch.setattr("nncompress.evaluate.row_comparison.distances", never)
    (tmp_path / "p.png").mkdir()
    for flag, wanted in (
        (["--plot", tmp_path / "p.png"], "p.png is a directory"),
        (["--plot", tmp_path / "none" / "x.jpg"], r"does not end in \.png"),
        (["--pairs", tmp_path / "none.tsv"], "none.tsv does not exist"),
        (["--pairs", original], "cannot be read as utf8 text"),
    ):
        with pytest.raises(InputError, match=wanted):
            ask("evaluate", original, path, *flag)
    with pytest.raises(InputError, match="is the input itself"):
        ask("compress", original, original, "--dry-run")


@pytest.mark.parametrize("command", [["similar", "w1"], ["analogy", "w1", "w2", "w3"]])
def test_no_words_at_all_are_not_looked_for(ask, path, command):
    name, *words = command
    with pytest.raises(InputError, match="-n is 0; wanted at least 1"):
        ask(name, path, *words, "-n", 0)


@pytest.mark.filterwarnings("ignore:.*refinement takes at most")
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_sizes_that_no_memory_holds_are_refused_before_anything_is_allocated(
    ask, matrix_path, tmp_path, options
):
    sizes = ["-M", 1_000_000, "-K", 65_536]
    with pytest.raises(InputError, match=r"takes [\d,]+ GB, but the machine has .*smaller M or K"):
        ask("compress", matrix_path, tmp_path / "x.nnc", *sizes, *options)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("Unable to allocate 9. TiB.", "not enough memory: Unable to allocate 9. TiB; fewer rows"),
        ("", "not enough memory: the system has none left; fewer rows"),
    ],
)
def test_a_lack_of_memory_names_the_flags_that_need_less(
    ask, matrix_path, tmp_path, monkeypatch, asked, line
):
    def lacking(*arguments, **more):
        raise MemoryError(*filter(None, [asked]))

    monkeypatch.setattr("nncompress.compressing.make_table", lacking)
    with pytest.raises(InputError) as raised:
        ask("compress", matrix_path, tmp_path / "x.nnc")
    assert str(raised.value).startswith(line)
    assert "--limit" in str(raised.value)


def test_a_folder_to_export_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="none does not exist; wanted a model's folder"):
        main(["export", str(tmp_path / "none"), str(tmp_path / "x"), "--to", "float16"])


def test_the_original_s_own_rows_are_told_where_it_does_not_fit(ask, path, tmp_path):
    np.save(tmp_path / "other.npy", np.zeros((2_000, 3), np.float32))
    with pytest.raises(InputError, match="has 2,000 rows x 3 dimensions, but the compressed table "
                                         "has 500 x 20"):  # fmt: skip
        ask("evaluate", tmp_path / "other.npy", path)


def test_after_compressing_size_and_quality_are_told_in_a_few_lines(
    ask, capsys, matrix_path, tmp_path
):
    target = "Fewer than 1,000 rows: keeping a mean cosine of 0.98, as neighbours mean little"
    main(["compress", str(matrix_path), str(tmp_path / "m.nnc")])
    out, err = capsys.readouterr()
    assert target in (out + err).splitlines()
    facts = json.loads(ask("info", tmp_path / "m.nnc", "--json"))
    told = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines()[-5:])
    assert told["rows"] == "300 of 12 numbers, without words"
    assert re.fullmatch(
        rf".* [kM]?B, {facts['ratio']:.1f} times smaller \(14\.4 kB in float32\)", told["m.nnc"]
    )
    assert told["mean cosine"].startswith(f"{facts['mean_cosine']:.4f}; the worst 1%: ")
    assert re.fullmatch(
        rf"{100 * facts['recall']:.1f}% of each row's 10 nearest \(.*\)", told["neighbours kept"]
    )
    assert float(told["relative error"]) > 0
