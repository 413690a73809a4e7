import json
import subprocess
import sys
from pathlib import Path

import pytest

from nncompress import InputError, NotGoodEnough
from nncompress.cli.errors import status_of
from nncompress.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pairs(tmp_path, random):
    (tmp_path / "matrix.word").write_text("".join(f"w{i}\n" for i in range(300)))
    lines = (f"w{i}\tw{i + 40}\t{random.integers(9)}\n" for i in range(200))
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    return tmp_path / "pairs.tsv"


def test_what_falls_short_is_one_line_status_3_and_no_file(matrix_path, tmp_path):
    output = tmp_path / "x.nnc"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "nncompress", "compress", str(matrix_path), str(output)),
            *("--target-cosine", "0.9", "--require", "cosine=0.99,recall=0.1", "--json"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 3
    *_, line = result.stderr.splitlines()  # after those of the phases
    assert line.startswith("nncompress: error: falls short: cosine 0.9")
    assert line.endswith("(wanted at least 0.99); nothing was written")
    assert "recall" not in line
    assert json.loads(result.stdout)["error"]["status"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.npy"]
    assert status_of(NotGoodEnough("x")) == 3


def test_every_compress_ends_with_what_is_kept(ask, matrix_path, pairs, tmp_path):
    output = tmp_path / "x.nnc"
    arguments = ["compress", matrix_path, output, "--target-cosine", 0.97, "--pairs", pairs]
    lines = ask(*arguments, "--require", "pairs=-20").splitlines()
    begins = [line.split("  ")[0] for line in lines[-6:]]
    assert begins == ["x.nnc", "rows", "neighbours kept", "mean cosine", "relative error",
                      "pairs, pairs.tsv"]  # fmt: skip
    quality = json.loads(ask(*arguments, "--json"))["quality"]
    measured = json.loads(ask("evaluate", matrix_path, output, "--pairs", pairs, "--json"))
    assert quality == measured["quality"]
    (score,) = quality["scores"]
    assert score["task"] == "pairs"
    assert f"{score['original']['value']:.2f}" in lines[-1]


def test_the_smallest_size_is_searched_and_each_trial_told(ask, capsys, matrix_path, tmp_path):
    output = tmp_path / "x.nnc"
    main(["compress", str(matrix_path), str(output), "--require", "error=0.05", "--find"])
    lines = capsys.readouterr().err.splitlines()
    trials = [line for line in lines if "(wanted at most 0.05)" in line]
    enough = [float(line.split()[0]) for line in trials if "is enough" in line]
    short = [float(line.split()[0]) for line in trials if "falls short" in line]
    assert max(short) < min(enough) < 1.06 * max(short)
    error = json.loads(ask("evaluate", matrix_path, output, "--json"))["quality"]["error"]
    assert 0 < error["value"] <= 0.05


def test_a_page_is_written_of_a_table(ask, matrix_path, pairs, tmp_path):
    output, page = tmp_path / "x.nnc", tmp_path / "x.html"
    counts = "".join(f"w{i} {900 // (i + 1)}\n" for i in range(300))
    (tmp_path / "counts.txt").write_text(counts)
    ask("compress", matrix_path, output, "--target-recall", 0.6)
    flags = ["--page", page, "--frequencies", tmp_path / "counts.txt"]
    assert f"page                   {page}" in ask("evaluate", matrix_path, output, *flags)
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "<title>x.nnc</title>" in text
    assert "occurrences per million" in text


def test_mistakes_with_the_gate_are_named(ask, matrix_path, pairs, tmp_path):
    output = tmp_path / "x.nnc"
    ask("compress", matrix_path, output, "--target-cosine", 0.9)
    compress = ["compress", matrix_path, tmp_path / "y.nnc"]
    evaluate = ["evaluate", matrix_path, output]
    for arguments, message in [
        ([*compress, "--require", "cosin=1"], "--require 'cosin'; wanted one of error"),
        ([*compress, "--find"], "add --require"),
        ([*compress, "--require", "pairs=-1"], "add --pairs FILE"),
        ([*compress, "--sts", pairs], "--sts is for a model's folder, and a table"),
        ([*compress, "--text", pairs], "--text is for a model's folder, and a table"),
        ([*compress, "--require", "error=1", "--dry-run"], "a dry run measures nothing"),
        ([*compress, "--pairs", pairs, "--dry-run"], "a dry run measures nothing"),
        ([*evaluate, "--sts", pairs], "--sts is for a model's folder"),
        ([*evaluate, "--page", tmp_path / "x.pdf"], r"x\.pdf does not end in \.html or \.htm"),
        ([*evaluate, "--page", output], "does not end in"),
        ([*evaluate, "--frequencies", pairs], "--frequencies is drawn on the page; add --page"),
    ]:
        with pytest.raises(InputError, match=message):
            ask(*arguments)
    assert not (tmp_path / "y.nnc").exists()
