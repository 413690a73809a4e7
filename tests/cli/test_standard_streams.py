"""Standard input and output in the place of files, in this process: ``-``."""

import io
import sys

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.cli.main import main
from nncompress.cli.standard_streams import read_words
from nncompress.errors import Interrupted

FAST = ["-M", "4", "-K", "8", "-e", "3"]


class Terminal(io.BytesIO):
    def isatty(self):
        return True


@pytest.fixture
def piped(monkeypatch, capfdbinary):
    """Runs the command with bytes on standard input; returns what it printed, as bytes."""

    def run(data, *arguments):
        capfdbinary.readouterr()
        stream = data if isinstance(data, io.BytesIO) else io.BytesIO(data)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream, encoding="ascii"))
        main([str(argument) for argument in arguments])
        sys.stdout.flush()
        return capfdbinary.readouterr()

    return run


@pytest.fixture
def words():
    return [f"wörd{i}" for i in range(300)]


@pytest.fixture
def text(matrix, words):
    rows = zip(words, matrix, strict=True)
    return "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows).encode()


@pytest.fixture
def table(matrix, words, tmp_path):
    codes = np.random.default_rng(1).integers(16, size=(300, 8))
    codebook = np.random.default_rng(2).normal(size=(128, 12)).astype(np.float32)
    path = tmp_path / "x.nnc"
    CompressedEmbedding.from_codes(codes, codebook, words).save(path)
    return path


def npy(matrix):
    stream = io.BytesIO()
    np.save(stream, matrix)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["text", "npy"])
def test_a_table_is_read_from_standard_input(piped, matrix, words, text, tmp_path, kind):
    (tmp_path / "m.word").write_text("\n".join(words), encoding="utf-8")
    data = text if kind == "text" else npy(matrix)
    more = [] if kind == "text" else ["--words", tmp_path / "m.word"]
    piped(data, "compress", "-", tmp_path / "in.nnc", *FAST, *more)
    np.save(tmp_path / "m.npy", matrix)
    main(["compress", str(tmp_path / "m.npy"), str(tmp_path / "file.nnc"), *FAST])
    one, other = (CompressedEmbedding.load(tmp_path / f"{name}.nnc") for name in ("in", "file"))
    assert list(one) == words
    assert (one.to_numpy() == other.to_numpy()).all()
    assert one.provenance["source"].startswith("standard input")
    assert not list(tmp_path.glob("in.nnc.*"))  # no work of it stays


def test_a_compressed_table_goes_to_standard_output_and_reports_do_not(piped, text, tmp_path):
    out, err = piped(text, "compress", "-", "-", *FAST)
    (tmp_path / "x.nnc").write_bytes(out)
    assert len(CompressedEmbedding.load(tmp_path / "x.nnc", verify=True)) == 300
    assert b"\nstandard output  " in err


def test_an_interruption_names_no_work_that_is_gone(piped, text, tmp_path, monkeypatch):
    def interrupted(*arguments, **more):
        raise Interrupted(2, "interrupted; continue with: nncompress")

    monkeypatch.setattr("nncompress.compressing.compress_source", interrupted)
    (tmp_path / "x.txt").write_bytes(text)
    for arguments, line in [
        (["-", tmp_path / "x.nnc"], "^interrupted$"),
        ([tmp_path / "x.txt", "-"], "^interrupted$"),
        ([tmp_path / "x.txt", "-", "--work", tmp_path / "w"], "^interrupted; continue with: "),
    ]:
        with pytest.raises(Interrupted, match=line):
            piped(text, "compress", *arguments)


def test_a_compressed_table_is_read_from_standard_input(piped, table, text):
    data = table.read_bytes()
    for command, *more in (["info"], ["similar", "wörd3"]):
        assert piped(data, command, "-", *more).out == piped(b"", command, table, *more).out
    measured = piped(text, "evaluate", "-", table, "--json").out
    assert measured.startswith(b'{"loss"')


def test_words_are_read_from_standard_input(piped, table):
    words = "wörd3\r\n\nwörd5\n".encode()
    printed = piped(words, "similar", table, "-").out
    assert printed == piped(b"", "similar", table, "wörd3", "wörd5").out


@pytest.mark.parametrize("form", ["glove", "word2vec", "npy"])
def test_vectors_are_exported_to_standard_output_as_to_a_file(piped, table, tmp_path, form):
    file = tmp_path / "out.npy"
    if form == "npy":
        with pytest.warns(UserWarning, match="no room for words"):
            out = piped(b"", "export", table, "-", "--to", form).out
    else:
        out = piped(b"", "export", table, "-", "--to", form).out
    main(["export", str(table), str(file), "--to", form])
    assert out == file.read_bytes()


def test_what_makes_no_sense_with_a_stream_is_refused(piped, table, text, tmp_path, monkeypatch):
    out = tmp_path / "y.nnc"
    for data, arguments, message in [
        (b"", ["compress", "-", out], "standard input is empty"),
        (b"no table\n", ["compress", "-", out], "^standard input, line 1: "),
        (Terminal(), ["compress", "-", out], "standard input is a terminal"),
        (text, ["compress", "-", out, "--words", "-"], "can be read once"),
        (text, ["compress", "-", out, "--work", tmp_path / "w"], "cannot be read a second time"),
        (table.read_bytes(), ["compress", "-", out], "^standard input is already a compressed"),
        (text, ["compress", "-", "-", "--json"], "--json prints on standard output"),
        (b"", ["export", table, "-", "--to", "gensim"], "may take several files"),
        (b"\xff\n", ["similar", table, "-"], "is not UTF-8"),
        (b"\n", ["similar", table, "-"], "wanted a word a line"),
    ]:
        with pytest.raises(InputError, match=message):
            piped(data, *arguments)
    for arguments in (
        *(["learn", "-", out], ["merge", table, "-"], ["index", "-"]),
        *(["train", "--input-matrix", "-"], ["quantize", "--train", "--matrix", "-"]),
        ["fetch", "fr300", "--out", "-"],
    ):
        with pytest.raises(SystemExit):
            piped(b"", *arguments)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        read_words()
    assert not out.exists()


def test_bytes_are_not_written_to_a_terminal(table, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for command in (["export", table, "-", "--to", "npy"], ["compress", table, "-"]):
        with pytest.raises(InputError, match="standard output is a terminal"):
            main([str(word) for word in command])


def test_a_file_named_dash_is_named_with_its_directory(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(text)
    main(["compress", "./-", "./x.nnc", *FAST])
    main(["export", "x.nnc", "./-", "--to", "glove"])
    assert len((tmp_path / "-").read_bytes().splitlines()) == 300
