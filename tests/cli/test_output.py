"""What commands print, and where: pipes, encodings, JSON, missing words, directories."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.cli import errors
from nncompress.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["king", "queen", "paris", "été", *(f"w{i}" for i in range(96))]


@pytest.fixture
def table(tmp_path, random):
    codes = random.integers(16, size=(100, 8))
    codebook = random.normal(size=(128, 12)).astype(np.float32)
    CompressedEmbedding.from_codes(codes, codebook, WORDS).save(tmp_path / "x.nnc")
    return tmp_path / "x.nnc"


@pytest.fixture
def ended(monkeypatch, capfd):
    """Runs the command to its end, as a program does; returns status, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["nncompress", *map(str, arguments)])
        monkeypatch.setattr("warnings.showwarning", None)
        monkeypatch.setattr(errors.signals, "in_order", lambda: None)
        monkeypatch.setattr(errors.signals, "at_once", lambda program: None)
        status = 0
        try:
            errors.run(main, "nncompress")
        except SystemExit as end:
            status = end.code
        return status, *capfd.readouterr()

    return run


def start(*arguments, **options):
    command = [sys.executable, "-m", "nncompress", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("environment", {})
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **options)


def test_a_pipe_that_nobody_reads_is_no_error(table):
    reader, writer = os.pipe()
    os.close(reader)
    process = start("info", table, stdout=writer, environment={"PYTHONUNBUFFERED": "1"})
    os.close(writer)
    _, told = process.communicate()
    assert (process.returncode, told) == (0, b"")


def test_work_goes_on_where_nobody_reads_its_reports(table, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    process = start("export", table, tmp_path / "x.txt", "--to", "glove", stdout=writer)
    os.close(writer)
    process.communicate()
    assert process.returncode == 0
    assert len((tmp_path / "x.txt").read_bytes().splitlines()) == 100


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_output_that_cannot_be_written_is_an_error(table):
    with open("/dev/full", "wb") as full:
        process = start("info", table, stdout=full)
        _, told = process.communicate()
    assert process.returncode == 2
    assert told.startswith(b"nncompress: error: standard output cannot be written: No space")


@pytest.mark.skipif(os.name == "nt", reason="the locale is no environment variable there")
def test_words_and_names_are_utf8_whatever_the_locale(table, tmp_path):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = start("similar", table, "été", "Été", "ö", stdout=subprocess.PIPE, environment=plain)
    printed, told = process.communicate()
    assert printed.decode("utf-8").startswith("nearest to été  ")
    first, second = told.decode("utf-8").splitlines()
    assert "did you mean 'été'?" in first
    assert second.startswith("nncompress: error: 'ö': not among")
    process = start("info", tmp_path / "ünï.nnc", stdout=subprocess.PIPE, environment=plain)
    assert "ünï.nnc does not exist" in process.communicate()[1].decode("utf-8")


def test_with_json_an_error_is_an_object(ended, tmp_path):
    path = tmp_path / "none.nnc"
    for flag in ("--json", "--js"):
        status, printed, told = ended("info", path, flag)
        (error,) = json.loads(printed).values()
        assert status == error["status"] == 2
        assert error["kind"] == "InputError"
        assert told == f"nncompress: error: {error['message']}\n"
    assert ended("info", path)[1] == ""


def test_with_json_a_mistake_on_the_command_line_is_an_object(ended):
    status, printed, told = ended("compress", "only-one", "--json")
    assert status == 2
    assert json.loads(printed)["error"]["kind"] == "UsageError"
    assert json.loads(printed)["error"]["message"] in told
    assert ended("similar", "--", "--json")[1] == ""  # which is a word here


def test_a_missing_word_does_not_hide_the_others(ended, table):
    status, printed, told = ended("similar", table, "King", "w1", "zzz", "-n", 1)
    assert status == 2
    assert printed == ended("similar", table, "w1", "-n", 1)[1]
    first, second = told.splitlines()
    assert first.endswith("'King': not among the 100 words of this table; did you mean 'king'?")
    assert second.endswith("'zzz': not among the 100 words of this table")


def test_a_missing_word_is_told_in_the_json_of_the_others(ended, table):
    status, printed, _ = ended("similar", table, "King", "w1", "-n", 1, "--json")
    found = json.loads(printed)
    assert status == 2
    assert found["King"]["did_you_mean"] == ["king"]
    assert found["w1"] == json.loads(ended("similar", table, "w1", "-n", 1, "--json")[1])["w1"]


def test_all_missing_words_of_an_analogy_are_told(ended, table):
    status, _, told = ended("analogy", table, "King", "w1", "Qeen")
    assert status == 2
    assert "'king'" in told.splitlines()[0]
    assert "'queen'" in told.splitlines()[1]


def test_directories_that_are_made_for_an_output_are_said(ended, table, tmp_path):
    output = tmp_path / "a" / "b" / "x.txt"
    status, _, told = ended("export", table, output, "--to", "glove")
    assert status == 0
    assert f"nncompress: made the directory {output.parent}{os.sep}" in told.splitlines()


def test_a_file_that_is_replaced_is_said_with_its_old_size(ended, table, tmp_path):
    output = tmp_path / "x.txt"
    output.write_bytes(b"123")
    command = "export", table, output, "--to", "glove"
    assert f"nncompress: replaced {output} (3 bytes)" in ended(*command)[2].splitlines()
    output.unlink()
    assert "replaced" not in ended(*command)[2]


def test_a_text_that_is_several_words_of_the_table_gets_advice(ended, table):
    _, _, told = ended("similar", table, "king w1", "king w9999")
    first, second = told.splitlines()
    assert "'king w1': not among the " in first
    assert "; give words as separate arguments" in first
    assert "separate" not in second


def test_what_is_missing_for_a_folder_is_told_to_be_downloaded(ended, tmp_path):
    nowhere = tmp_path / "bge-small-v1.5"
    for output in ("out", "out/"):
        status, _, told = ended("compress", nowhere, f"{tmp_path}/{output}")
        assert status == 2
        assert (
            f"{nowhere} does not exist; wanted a file of word vectors or a model's folder" in told
        )
        assert "hf download" in told
    status, _, told = ended("compress", tmp_path / "x.txt", tmp_path / "x.nnc")
    assert "x.txt does not exist; wanted word vectors in a file" in told


def test_a_table_is_not_written_to_what_is_named_as_a_folder(ended, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4))
    status, _, told = ended("compress", tmp_path / "x.npy", f"{tmp_path}/out.d/")
    assert status == 2
    assert "out.d/ is to be a folder, but " in told
    assert not (tmp_path / "out.d").exists()


def test_directories_of_a_command_that_fails_do_not_stay(ended, table, tmp_path):
    output = tmp_path / "a" / "b" / "x.doc"
    status, _, told = ended("export", table, output, "--to", "npy")
    assert status == 2
    assert "made" not in told
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.pt", b"PK\x03\x04" + bytes(26) + b"t/data.pkl", "torch.load"),
        ("t.npy", b"\x93NUMPY", r"nncompress compress .*t\.npy t\.nnc"),
        ("t.npz", b"PK\x03\x04" + bytes(22) + b"\5\0\0\0a.npy", r"nncompress compress .*t\.npz"),
        ("t.txt", b"the 1 2\n", r"nncompress compress .*t\.txt t\.nnc"),
    ],
)
def test_other_files_get_advice_that_fits(table, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for command in (["info"], ["similar"], ["evaluate", table]):
        more = ["king"] if command == ["similar"] else []
        with pytest.raises(InputError, match=message):
            main([*map(str, command), str(tmp_path / name), *more])


@pytest.mark.parametrize("count", ["0", "-1"])
def test_counts_below_1_are_refused(table, matrix_path, tmp_path, count):
    for arguments in (
        ["similar", table, "king", "-n"],
        ["similar", table, "king", "--probe"],
        ["analogy", table, "king", "w1", "queen", "-n"],
        ["index", table, "--lists"],
        ["compress", matrix_path, tmp_path / "y.nnc", "--limit"],
        ["learn", matrix_path, tmp_path / "y.model", "--sample"],
        ["learn", matrix_path, tmp_path / "y.model", "--limit"],
        ["merge", table, tmp_path / "y", "--shard-rows"],
    ):
        with pytest.raises(InputError, match=rf"{count}\b.*wanted"):
            main([*map(str, arguments), count])
