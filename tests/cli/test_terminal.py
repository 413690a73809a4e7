import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nncompress.cli import errors, terminal
from nncompress.cli.main import main
from nncompress.errors import InputError

ESCAPE = "\x1b["
ROOT = Path(__file__).resolve().parents[2]


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def usual_terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def screens(monkeypatch):
    """Makes both streams terminals: in the test itself, for pytest sets them before each."""

    def attach():
        out, err = Screen(), Screen()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return attach


@pytest.fixture
def table_path(tmp_path, table):
    from nncompress import CompressedEmbedding

    codes, codebook, words = table
    CompressedEmbedding.from_codes(codes, codebook, words).save(tmp_path / "a.nnc")
    return str(tmp_path / "a.nnc")


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_terminal_gets_colours_where_rich_is_installed(screens, table_path):
    pytest.importorskip("rich")
    out, _ = screens()
    main(["similar", table_path, "wörd 5"])
    shown = out.getvalue()
    assert ESCAPE in shown
    heading, *rows = plain(shown).splitlines()
    assert heading.split() == ["nearest", "to", "wörd", "5", "cosine"]
    assert len(rows) == 10
    assert len({len(row.rstrip()) for row in rows}) == 1  # numbers are flush right


def test_a_pipe_gets_plain_columns(capsys, table_path):
    main(["similar", table_path, "wörd 5"])
    out = capsys.readouterr().out
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out)
    assert out.splitlines()[0].startswith("nearest to wörd 5")


def test_a_terminal_without_rich_gets_plain_columns(screens, table_path, monkeypatch, capsys):
    main(["info", table_path])
    expected = capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "rich.console", None)
    out, _ = screens()
    main(["info", table_path])
    assert out.getvalue() == expected


def test_no_color_turns_colours_off_and_an_empty_one_does_not(screens, table_path, monkeypatch):
    pytest.importorskip("rich")
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    monkeypatch.setenv("NO_COLOR", "1")
    out, _ = screens()
    main(["info", table_path])
    assert not colour.search(out.getvalue())
    monkeypatch.setenv("NO_COLOR", "")
    out, _ = screens()
    main(["info", table_path])
    assert colour.search(out.getvalue())


def test_force_color_colours_a_pipe(capsys, table_path, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["info", table_path])
    assert ESCAPE in capsys.readouterr().out


@pytest.mark.parametrize("has_heading", [True, False])
def test_colours_in_a_file_neither_wrap_nor_pad_its_lines(capsys, monkeypatch, has_heading):
    pytest.importorskip("rich")
    rows = [("source", "a long name " * 30), ("words", "5")]
    terminal.print_table(rows, has_heading=has_heading)
    uncoloured = capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    terminal.print_table(rows, has_heading=has_heading)
    coloured = capsys.readouterr().out
    assert ESCAPE in coloured
    assert plain(coloured) == uncoloured


def test_a_dumb_terminal_gets_plain_columns(screens, table_path, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out, _ = screens()
    main(["info", table_path])
    assert ESCAPE not in out.getvalue()


def test_json_has_no_colours_on_a_terminal(screens, table_path):
    out, err = screens()
    main(["info", table_path, "--json"])
    assert out.getvalue().startswith("{")
    assert ESCAPE not in out.getvalue()
    assert err.getvalue() == ""


def test_words_are_no_markup_and_no_control_characters(screens):
    pytest.importorskip("rich")
    out, _ = screens()
    terminal.print_table([("[red]x[/red] :smile:", "\x1b[2J")], has_heading=False)
    assert plain(out.getvalue()).split() == ["[red]x[/red]", ":smile:", "\\x1b[2J"]
    assert "\x1b[2J" not in out.getvalue()


@pytest.mark.parametrize(("kind", "colour"), [("error", "31"), ("warning", "33")])
def test_errors_are_red_and_warnings_yellow_on_a_terminal(screens, kind, colour):
    pytest.importorskip("rich")
    _, err = screens()
    terminal.tell("nncompress", kind, "a long line " * 20)
    assert f"\x1b[1;{colour}m{kind}:\x1b[0m" in err.getvalue()
    assert plain(err.getvalue()) == f"nncompress: {kind}: {'a long line ' * 20}\n"


def test_an_error_in_a_log_is_plain(capsys):
    terminal.tell("nncompress", "error", "no such file")
    assert capsys.readouterr().err == "nncompress: error: no such file\n"


def test_the_end_of_a_command_is_a_coloured_error(screens, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(errors.output_streams, "prepare", lambda: None)
    monkeypatch.setattr(errors.signals, "in_order", lambda: None)

    def fail():
        raise InputError("there is no such table")

    _, err = screens()
    with pytest.raises(SystemExit):
        errors.run(fail, "nncompress")
    assert plain(err.getvalue()) == "nncompress: error: there is no such table\n"
    assert ESCAPE in err.getvalue()


def test_the_parser_s_errors_are_told_the_same_way(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["similar"])
    assert ended.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "nncompress similar: error: the following arguments are required: file, WORD"
    assert second == "see nncompress similar --help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compres", "a", "b"], "nncompress: error: unknown command 'compres'; "
         "did you mean 'compress'?"),
        (["x"], "nncompress: error: unknown command 'x'; wanted one of fetch, compress, "),
        (["compress", "a", "b", "--bits-per-dimension", "3"], "nncompress compress: error: "
         "unknown option --bits-per-dimension; did you mean --bits-per-dim?"),
        (["compress", "a", "b", "--recal", "0.9"], "nncompress compress: error: "
         "unknown option --recal; did you mean --target-recall?"),
        (["info", "a", "--xyz=1"], "nncompress info: error: unknown option --xyz\n"),
    ],
)  # fmt: skip
def test_a_mistyped_command_or_option_is_told_the_right_one(capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_terminal_is_told_what_to_type_next(screens, matrix_path, tmp_path):
    _, err = screens()
    target = tmp_path / "my table.nnc"
    main(["compress", str(matrix_path), str(target)])
    *_, first, second, _ = plain(err.getvalue()).split("\n")
    assert first.rpartition("\r")[2] == f"next: nncompress similar '{target}' 0"
    assert second == f"      nncompress evaluate {matrix_path} '{target}'"


def test_neither_json_nor_a_log_is_told_what_to_type_next(screens, capsys, matrix_path, tmp_path):
    main(["compress", str(matrix_path), str(tmp_path / "a.nnc")])
    assert "next:" not in "".join(capsys.readouterr())
    _, err = screens()
    main(["index", str(tmp_path / "a.nnc"), "--json"])
    assert "next:" not in err.getvalue()


def test_the_next_command_is_one_that_works(screens, monkeypatch, table_path):
    _, err = screens()
    main(["index", table_path])
    line = plain(err.getvalue()).splitlines()[-1].rpartition("next: nncompress ")[2]
    out, _ = screens()
    main(shlex.split(line))
    assert "nearest to wörd 350" in plain(out.getvalue())


@pytest.mark.parametrize("program", ["nncompress", "train_comp.py"])
def test_the_version_is_told_with_the_name(program, capsys):
    from functools import partial

    from nncompress.cli import alone, train
    from nncompress.version import __version__

    run = main if program == "nncompress" else partial(alone.main, train)
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    name, package, version = capsys.readouterr().out.split()
    assert (package, version) == ("(chainer-nncompress)", __version__)
    assert program != "nncompress" or name == "nncompress"


def test_the_script_for_bash_completes_commands_flags_and_files(capsys, tmp_path):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    script = tmp_path / "completion.bash"
    asks = """
function=$(complete -p nncompress | sed 's/.*-F \\([^ ]*\\).*/\\1/')
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $function
    echo "${COMPREPLY[@]}"; }
complete_line nncompress comp
complete_line nncompress compress --bits
complete_line nncompress train --recipe f
complete_line nncompress similar glove.
complete_line nncompress compress glove.
complete_line nncompress evaluate glove.nnc --pa
complete_line nncompress similar glove.nnc glove.
"""
    script.write_text(capsys.readouterr().out + asks)
    (tmp_path / "glove.nnc").touch()
    done = subprocess.run(
        ["bash", str(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    commands, flag, recipe, file, source, flags, word = done.stdout.splitlines()
    assert (commands, flag, recipe) == ("compress", "--bits-per-dim", "fast")
    assert (file, source, word) == ("glove.nnc", "glove.nnc", "")
    assert set(flags.split()) == {"--pairs", "--page"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_scripts_too(shell, capsys):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit):
        main(["--print-completion", shell])
    out = capsys.readouterr().out
    assert "compress" in out
    assert "bits-per-dim" in out


def test_completion_without_shtab_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(
        InputError, match=r"shtab is not installed.*chainer-nncompress\[terminal\]"
    ):
        main(["--print-completion", "bash"])
