import contextlib
import io
import json
import os
import pty
import re
import sys
import threading
import time

import pytest

from nncompress import progress, timetable
from nncompress.cli.main import main
from nncompress.timetable import Expected

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr(progress, "_REDRAWN", 0.01)

    def attach():
        """Makes stderr a terminal: in the test itself, for pytest sets it before each."""
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return attach


def wait_for(stream, text):
    for _ in range(300):
        if text in stream.getvalue():
            return
        time.sleep(0.01)
    raise AssertionError(f"no {text!r} in {stream.getvalue()!r}")


@pytest.fixture
def all_told(monkeypatch):
    """Has phases of any length write a line to a log."""
    monkeypatch.setattr(progress, "_TOLD", 0.0)


def test_a_log_gets_one_line_a_phase_and_no_control_characters(capsys, all_told):
    with progress.overall():
        with progress.progress_bar(10, "Reading glove.txt", "B") as bar:
            bar.update(10)
        with progress.phase("training", 100, "step") as counter:
            counter.update(100)
        with progress.phase("refining"):
            for _ in range(3):
                with progress.progress_bar(5, "Annealing") as bar:
                    bar.update(5)
    out, err = capsys.readouterr()
    assert out == ""
    names = [line.partition(":")[0] for line in err.splitlines()]
    assert names == ["reading glove.txt", "training", "refining"]
    assert all(re.fullmatch(r".*: \d+\.\d s", line) for line in err.splitlines())
    assert not CONTROL.search(err)


def test_a_long_phase_writes_a_line_now_and_then_to_a_log(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LOGGED", 0.05)
    with progress.overall():
        progress.expect(lambda: [Expected("training", 10), Expected("refining", 20)])
        with progress.phase("training", 12_000, "step") as counter:
            counter.update(3_000)
            time.sleep(0.12)
    first = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(
        r"training: 3,000 of 12,000 steps, 8% of everything done, about \d+\.\d s left", first
    )


def test_a_phase_that_fails_leaves_the_log_to_the_error(capsys, all_told):
    with pytest.raises(ValueError, match="bad"), progress.overall(), progress.phase("reading"):
        raise ValueError("bad")
    assert capsys.readouterr().err == ""


def test_a_phase_that_makes_up_for_an_error_is_told_in_the_log(capsys, all_told):
    with progress.overall():
        try:
            raise MemoryError
        except MemoryError:
            with progress.phase("trying a smaller block"):
                pass
    assert capsys.readouterr().err == "trying a smaller block: 0.0 s\n"


def test_a_terminal_has_one_line_with_phase_share_and_the_time_left(terminal):
    screen = terminal()
    with progress.overall():
        progress.expect(lambda: [Expected("training", 30), Expected("refining", 70)])
        with progress.phase("training", 100, "step") as counter:
            counter.update(50)
            counter.set_postfix(loss="0.5")
            wait_for(screen, "training (loss=0.5)")
        with progress.phase("refining"):
            wait_for(screen, "refining")
    shown = screen.getvalue()
    assert re.search(r"training \(loss=0\.5\)  15%\|.{24}\| ~?\d\d:\d\d left", shown)
    assert re.search(r"refining  3\d%\|.{24}\| \d\d:\d\d left", shown)
    assert "\n" not in shown
    assert shown.rsplit("\r", 2)[1].strip() == ""  # it goes away in the end


def test_what_is_printed_meanwhile_has_a_line_of_its_own(terminal, monkeypatch):
    screen = terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    with progress.overall(), progress.phase("training", 10, "step"):
        wait_for(screen, "training")
        progress.say("[epoch0] train_loss=12")
    assert re.search(r"\r *\r\[epoch0\] train_loss=12\n", screen.getvalue())


def test_compilation_is_a_phase_of_its_own_that_takes_no_time_of_the_others(terminal):
    screen = terminal()
    with progress.overall():
        progress.expect(lambda: [Expected("training", 30), Expected("refining", 70)])
        with progress.phase("training", 100, "step") as counter:
            counter.update(50)
            wait_for(screen, "training  15%")
            progress.begin_compiling(is_kept=True)
            wait_for(screen, "compiling kernels  15%")
            compiling = screen.getvalue().rpartition("compiling")[2]
            progress.end_compiling()
            counter.update(50)
            wait_for(screen, "training  30%")
    assert "left" not in compiling


def test_a_line_of_progress_names_its_phase_from_the_beginning(terminal):
    screen = terminal()
    with progress.overall():
        progress.expect(lambda: [Expected("reading", 1), Expected("training", 30)])
        with progress.phase("reading"):
            pass
        time.sleep(0.05)
        with progress.phase("training", 100, "step"):
            wait_for(screen, "training")
    assert all(line.strip() for line in re.findall(r"\r([^\r]*?) *\d+%", screen.getvalue()))


def test_a_dumb_terminal_is_a_log(terminal, monkeypatch, all_told):
    screen = terminal()
    monkeypatch.setenv("TERM", "dumb")
    with progress.overall(), progress.phase("training"):
        time.sleep(0.05)
    assert re.fullmatch(r"training: 0\.\d s\n", screen.getvalue())


def test_a_reader_who_has_gone_ends_no_work(monkeypatch, all_told):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with progress.overall(), progress.phase("training"):
        pass


def test_no_thread_outlives_the_command():
    before = threading.active_count()
    with progress.overall(), progress.phase("training"):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_a_command_without_phases_starts_no_thread():
    before = threading.active_count()
    with progress.overall():
        assert threading.active_count() == before


def test_without_a_whole_bars_are_those_of_tqdm():
    from tqdm import tqdm

    with progress.progress_bar(3, "Reading") as bar:
        assert isinstance(bar, tqdm)
    with progress.phase("training", 3) as counter:
        counter.update(3)
        assert (counter.n, counter.total) == (3, 3)


def test_a_bar_within_a_phase_is_a_part_of_it(capsys, all_told):
    with progress.overall(), progress.phase("coding rows"):
        progress.expect(lambda: [Expected("never", 1)])
        with progress.progress_bar(4, "Measuring distances") as bar:
            bar.update(4)
    assert capsys.readouterr().err.startswith("coding rows:")


def test_what_takes_no_time_is_not_told(capsys):
    with progress.overall(), progress.phase("checking rows"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (3.14, "3.1 s"), (59.96, "1 min 0 s"), (125, "2 min 5 s"),
     (4_330, "1 h 12 min")],
)  # fmt: skip
def test_durations_are_told_as_people_tell_them(seconds, text):
    assert progress.duration(seconds) == text


def test_compressing_shows_the_time_left_on_a_terminal(
    terminal, monkeypatch, capsys, tmp_path, matrix_path
):
    """A pseudo-terminal that does not tell its size."""
    terminal()
    seen = []
    reader, writer = pty.openpty()

    def read():
        with contextlib.suppress(OSError):
            while data := os.read(reader, 65_536):
                seen.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        main(["compress", str(matrix_path), str(tmp_path / "a.nnc"), "--json"])
    thread.join()
    os.close(reader)
    shown = b"".join(seen).decode()
    assert re.search(r"(choosing the step|coding rows)  ?\d+%\|.{24}\| ~?\d\d:\d\d left", shown)
    assert "\n" not in shown
    assert json.loads(capsys.readouterr().out)["rows"] == 300


@pytest.mark.parametrize("flags", [[], ["-M", "4", "-K", "8", "-e", "1"]])
def test_every_phase_that_is_expected_comes(
    flags, capsys, monkeypatch, tmp_path, matrix_path, all_told
):
    expected = []
    expect = timetable.Timetable.expect

    def note(self, phases):
        expected[:] = [each.name for each in phases]
        expect(self, phases)

    monkeypatch.setattr(timetable.Timetable, "expect", note)
    main(["compress", str(matrix_path), str(tmp_path / "a.nnc"), *flags])
    lines = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert [name for name in lines if name in expected] == expected
