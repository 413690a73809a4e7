import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.cli.main import main

SIZE = ("-M", "4", "-K", "8", "-e", "5")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ask(capsys):
    """Runs the command, and returns what it printed, as JSON."""

    def run(*arguments):
        main([str(argument) for argument in arguments] + ["--json"])
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def shards(matrix, tmp_path):
    for number, part in enumerate(np.split(matrix, [100, 180])):
        np.save(tmp_path / f"part-{number}.npy", part)
    (tmp_path / "words").write_text("".join(f"w{i}\n" for i in range(300)))
    return [tmp_path / f"part-{number}.npy" for number in range(3)]


def test_shards_are_learnt_refined_encoded_merged_and_searched(ask, shards, matrix, tmp_path):
    model, better = tmp_path / "m.model", tmp_path / "better.model"
    table, one = tmp_path / "t.nnc", tmp_path / "one.nnc"
    words = ("--words", tmp_path / "words")
    learnt = ask("learn", *shards, model, "--sample", 200, *SIZE)
    assert learnt["sample_rows"] == 200
    assert (learnt["M"], learnt["K"], learnt["columns"]) == (4, 8, 12)
    assert ask("info", model) == learnt
    refined = ask("refine", model, *shards, better, "--rounds", 3)
    assert refined["columns"] == 12
    facts = ask("encode", better, *shards, table, *words, "--effort", "quick",
                "--shard-rows", 128)  # fmt: skip
    assert (facts["rows"], facts["words"], facts["shards"]) == (300, 300, 3)
    assert facts["effort"] == "quick"
    loss = 0.5 * ((CompressedEmbedding.load(table).to_numpy() - matrix) ** 2).sum(axis=1).mean()
    assert np.isclose(facts["loss"], loss, rtol=1e-5)
    more = ask("encode", better, shards[0], table, "--append", "--effort", "quick")
    assert (more["rows"], more["words"], more["shards"]) == (400, 300, 4)
    merged = ask("merge", table, one)
    assert (merged["rows"], merged["words"]) == (400, 300)
    assert ask("info", table, "--verify")["verified"]
    assert ask("index", table, "--lists", 4)["lists"] == 4
    exact, probed = (ask("similar", table, "w7", *probe) for probe in ((), ("--probe", 4)))
    assert probed == exact == ask("similar", one, "w7")


def test_parts_are_put_together(ask, shards, tmp_path):
    ask("learn", *shards, tmp_path / "m", *SIZE)
    for name, rows in (("a", "0:120"), ("b", "120:300")):
        ask("encode", tmp_path / "m", *shards, tmp_path / name, "--rows", rows)
    ask("encode", tmp_path / "m", *shards, tmp_path / "whole")
    facts = ask("merge", tmp_path / "a", tmp_path / "b", tmp_path / "one.nnc")
    assert facts["rows"] == 300
    whole, one = (
        CompressedEmbedding.load(tmp_path / name).to_numpy() for name in ("whole", "one.nnc")
    )
    assert (whole == one).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "m", "none.npy", "x.nnc"], "none.npy does not exist"),
        (["encode", "none", "part-0.npy", "x.nnc"], "none does not exist"),
        (["encode", "part-0.npy", "part-0.npy", "x.nnc"], "does not begin with the length"),
        (["encode", "m", "part-0.npy", "part-0.npy"], "part-0.npy already exists"),
        (["encode", "m", "part-0.npy", "x.nnc", "--rows", "0:101"], "rows 0 to 101 were"),
        (["encode", "m", "part-0.npy", "x.nnc", "--append"], "has no manifest.json"),
        (["encode", "m", "part-0.npy", "wide.npy", "x.nnc"], "wide.npy .*3"),
        (["learn", "part-0.npy", "x.model", "--sample", "101", *SIZE], "a sample of 101 rows"),
        (["learn", "part-0.npy", "part-0.npy", *SIZE], "is the input itself"),
        (["refine", "m", "wide.npy", "x.model"], "has 3 columns; wanted 12"),
        (["merge", "part-0.npy", "x.nnc"], "is not a compressed table"),
        (["index", "m"], "is a model, which has no rows"),
    ],
)
def test_mistakes_are_told_in_a_line(ask, shards, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.save("wide.npy", np.ones((5, 3), np.float32))
    ask("learn", *shards, "m", *SIZE)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message) as raised:
        main(arguments)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("rows", ["5", "a:b", "-1:5", "3:"])
def test_ranges_of_rows_have_a_form(rows, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["encode", "m", "t.npy", "x.nnc", f"--rows={rows}"])
    assert ended.value.code == 2
    assert "wanted FIRST:END, such as 0:1000000" in capsys.readouterr().err


def test_a_killed_command_goes_on_to_the_same_bytes(ask, random, tmp_path):
    rows = random.normal(size=(400_000, 12)).astype(np.float32)
    np.save(tmp_path / "t.npy", rows)
    model = tmp_path / "m"
    ask("learn", tmp_path / "t.npy", model, "--sample", 2_000, *SIZE)
    ask("encode", model, tmp_path / "t.npy", tmp_path / "whole.nnc", "--shard-rows", 2_048)
    command = [sys.executable, "-m", "nncompress", "encode", "m", "t.npy", "x.nnc",
               "--shard-rows", "2048"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for sent in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )
        begun = len(list(tmp_path.glob("x.nnc.work/rows-*")))
        while len(list(tmp_path.glob("x.nnc.work/rows-*"))) < begun + 3:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(sent)
        _, errors = process.communicate()
        assert not (tmp_path / "x.nnc").exists()
    assert process.returncode == 130
    assert errors.splitlines()[-1].endswith("continue with: nncompress encode m t.npy x.nnc "
                                            "--shard-rows 2048")  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True)
    assert done.returncode == 0
    for file in (tmp_path / "whole.nnc").iterdir():
        assert (tmp_path / "x.nnc" / file.name).read_bytes() == file.read_bytes(), file.name
    assert not (tmp_path / "x.nnc.work").exists()
