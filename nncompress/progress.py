"""Progress: one line for a whole command, or a bar for each slow operation.

Within ``overall``, all phases count towards one line. A terminal shows it with the current phase,
the share of all work done and the time left; if stderr is a file or a pipe, each phase writes a
line when it ends. Outside ``overall``, ``progress_bar`` is tqdm's bar. No result depends on any of
this.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from nncompress.errors import InputError
from nncompress.timetable import Count, Expected, Timetable

if TYPE_CHECKING:
    from types import TracebackType

    from tqdm import tqdm

# Seconds between two pictures of the line, until the first one, and between two lines of a log.
_REDRAWN, _DELAY, _LOGGED = 0.2, 0.5, 60.0
_TOLD = 0.1  # shorter phases, in seconds, have no line in a log
_COMPILING = "compiling kernels"
_COLUMNS, _ROWS = 80, 24  # of a terminal of unknown size


class Counter:
    """Counts the work of a phase for the overall line, with the methods of tqdm's bars.

    Args:
        count: The work.
        end: Called when the counter is closed.
        counted: Called after each count.
    """

    def __init__(self, count: Count, end: Any = lambda: None, counted: Any = lambda: None) -> None:
        self._count, self._end, self._counted, self._is_open = count, end, counted, True

    @property
    def n(self) -> float:
        """The current count."""
        return self._count.n

    @property
    def total(self) -> float:
        """The final count."""
        return self._count.total

    def update(self, n: float = 1) -> None:
        """Counts on; a search that has made all expected rounds is expected to make one more."""
        self._count.n += n
        if not self._count.is_steady:
            self._count.total = max(self._count.total, self._count.n + 1)
        self._counted()

    def set_postfix(self, refresh: bool = True, **values: object) -> None:
        """Shows values beside the phase, such as a loss."""
        self._count.note = ", ".join(f"{name}={value}" for name, value in values.items())

    def close(self) -> None:
        """Ends the counting."""
        if self._is_open:
            self._is_open = False
            self._end()

    def __enter__(self) -> "Counter":
        return self

    def __exit__(
        self, *error: "type[BaseException] | BaseException | TracebackType | None"
    ) -> None:
        self.close()


class _Overall:
    """The line of a whole command on a terminal, or its lines in a log."""

    def __init__(self) -> None:
        self.timetable = Timetable()
        self._started = time.monotonic()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._line: Any = None
        self._is_terminal = False
        self._handled: BaseException | None = None  # when the current phase began

    def begin(self, name: str, count: Count | None = None) -> None:
        """Begins a phase."""
        self.timetable.begin(name, count)
        self._handled = sys.exception()
        self._start()

    def end(self) -> None:
        """Ends the current phase."""
        phase, seconds = self.timetable.end()
        has_failed = sys.exception() is not self._handled
        if seconds >= _TOLD and not self._is_terminal and not has_failed:
            _write(f"{phase.name}: {duration(seconds)}")

    def close(self) -> None:
        """Removes the line."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        if self._line is not None:
            with suppress(OSError, ValueError):
                self._line.close()

    def begin_compiling(self) -> None:
        """Stops the clock while kernels are compiled, and names that as the phase."""
        self.timetable.stop()
        self._start()

    def end_compiling(self) -> None:
        """Lets the clock go on."""
        self.timetable.go_on()

    def hidden(self) -> Any:
        """Returns a context in which the line is hidden, so that others can print."""
        if not self._is_terminal:
            return nullcontext()
        from tqdm import tqdm

        return tqdm.external_write_mode(file=sys.stderr)

    def _start(self) -> None:
        """Starts the thread that shows the line."""
        if self._thread is None:
            self._is_terminal = is_terminal(sys.stderr)
            show = self._draw if self._is_terminal else self._log
            seconds = _REDRAWN if self._is_terminal else _LOGGED
            self._thread = threading.Thread(
                target=self._keep, args=(show, seconds), name="progress", daemon=True
            )
            self._thread.start()

    def _keep(self, show: Any, seconds: float) -> None:
        while not self._is_over.wait(seconds):
            with suppress(OSError):  # nobody is watching any more
                show()

    def _draw(self) -> None:
        if time.monotonic() - self._started < _DELAY:
            return
        share, left = self.timetable.share(), self.timetable.seconds_left()
        phase, is_compiling = self.timetable.phase, self.timetable.is_stopped
        if phase is None and not is_compiling:
            if left is None and self._line is not None:  # nothing is under way
                self._line.close()
                self._line = None
            if self._line is None:
                return
        if self._line is None:
            self._line = _make_line()
        line = self._line
        if is_compiling:
            line.set_description_str(_COMPILING, refresh=False)
            left = None
        elif phase is not None:
            count = phase.part if phase.count is None else phase.count
            note = f" ({count.note})" if count is not None and count.note else ""
            line.set_description_str(phase.name + note, refresh=False)
        about = "~" if self.timetable.is_guess else ""
        line.left = "" if left is None else f"{about}{line.format_interval(left)} left"
        line.n, line.ncols = round(share, 4), _columns()
        line.refresh()

    def _log(self) -> None:
        phase = self.timetable.phase
        if phase is None or self.timetable.is_stopped:
            return
        parts = []
        if phase.count is not None and phase.count.is_steady:
            done, total = (f"{int(x):,}" for x in (phase.count.n, phase.count.total))
            parts.append(f"{done} of {total} {phase.count.unit}s")
        left = self.timetable.seconds_left()
        if left is not None:
            parts.append(f"{self.timetable.share():.0%} of everything done")
            parts.append(f"about {duration(left)} left")
        since = duration(self.timetable.seconds_of_phase())
        _write(f"{phase.name}: {', '.join(parts) or f'{since} so far'}")


def _make_line() -> Any:
    """Makes the line: a tqdm bar that only the thread draws."""
    from tqdm import tqdm

    class Line(tqdm):
        left = ""
        monitor_interval = 0  # no thread of tqdm's own

        @property
        def format_dict(self) -> dict[str, object]:
            return {**super().format_dict, "left": self.left}

    return Line(
        total=1.0, leave=False, mininterval=0, nrows=_ROWS, delay=1e-9, file=sys.stderr,
        bar_format="{desc} {percentage:3.0f}%|{bar:24}| {left}",
    )  # fmt: skip


_overall: ContextVar[_Overall | None] = ContextVar("overall", default=None)
# The same for other threads: kernels are compiled in the one that uses them first.
_wholes: list[_Overall] = []
_is_told = False  # that kernels are being compiled


@contextmanager
def overall() -> Iterator[None]:
    """Makes all phases in the block count towards one line, or write a line each to a log."""
    if _overall.get() is not None:  # nested: part of another whole
        yield
        return
    whole = _Overall()
    token = _overall.set(whole)
    _wholes.append(whole)
    try:
        yield
    finally:
        _wholes.remove(whole)
        _overall.reset(token)
        whole.close()


def expect(phases: Callable[[], Sequence[Expected]]) -> None:
    """Announces the phases still to come to the overall line.

    Within a phase it does nothing, because that phase was announced as a whole.

    Args:
        phases: Returns the phases in order; called only if there is an overall line.
    """
    whole = _overall.get()
    if whole is not None and whole.timetable.phase is None:
        with suppress(InputError):  # bad settings are refused where they are used
            whole.timetable.expect(phases())


@contextmanager
def phase(
    name: str,
    total: float | None = None,
    unit: str = "row",
    initial: float = 0,
    *,
    is_steady: bool = True,
) -> Iterator[Counter]:
    """Makes the block a phase of the whole; within another phase it is part of that one.

    Args:
        name: The name of the work, such as ``"training"``.
        total: The final count; None if only bars within the block count, or nothing does.
        unit: The name of the things counted.
        initial: The initial count.
        is_steady: Whether it counts often. If not, ``total`` is the number of rounds that a search
            is expected to make.

    Yields:
        The counter of the phase.
    """
    whole = _overall.get()
    count = Count(total or 0, initial, unit, is_steady=is_steady)
    if whole is None or whole.timetable.phase is not None:
        yield Counter(count)
        return
    whole.begin(name, count if total is not None else None)
    try:
        yield Counter(count, counted=whole.timetable.note_count)
    finally:
        whole.end()


def progress_bar(
    total: int, description: str, unit: str = "row", **options: Any
) -> "tqdm | Counter":
    """Returns a progress bar on stderr that appears after two seconds and disappears at the end.

    Within ``overall`` it is a counter instead, for a phase of its own or as part of the current
    phase.

    Args:
        total: The final count.
        description: The name of the work, shown in front of the bar.
        unit: The name of the things counted.
        options: Further options of tqdm.
    """
    whole = _overall.get()
    if whole is not None:
        count = Count(total, options.get("initial", 0), unit)
        if options.get("disable"):
            return Counter(count)
        if whole.timetable.phase is not None:
            whole.timetable.begin_part(count)
            return Counter(count)
        whole.begin(description[0].lower() + description[1:], count)
        return Counter(count, whole.end)
    from tqdm import tqdm  # which takes a fifth of the time that opening a file takes

    # A terminal redraws the bar in place; a log file gets a line now and then.
    interval = 0.1 if is_terminal(sys.stderr) else 10.0
    defaults = {"delay": 2, "leave": False, "mininterval": interval}
    return tqdm(total=total, desc=description, unit=unit, **(defaults | options))


def hidden() -> Any:
    """Returns a context in which the overall line is hidden, so that others can print."""
    return _wholes[-1].hidden() if _wholes else nullcontext()


def say(line: str, file: TextIO | None = None) -> None:
    """Prints a line without disturbing the overall line.

    Args:
        line: The line.
        file: The stream to print to; None: stdout.
    """
    with hidden():
        print(line, file=file)


def report(line: str) -> None:
    """Prints a line about the work under way to stderr, beside the overall line."""
    say(line, sys.stderr)


def tell_of_compiling() -> None:
    """Tells the user that kernels are being compiled, once in a process."""
    global _is_told
    if not _is_told:
        _is_told = True
        report("Compiling kernels for their first use (up to twenty seconds, once)")


def begin_compiling(*, is_kept: bool) -> None:
    """Tells the user of an overall line about compilation, and stops its clock meanwhile.

    Args:
        is_kept: Whether compiled kernels are kept; if not, a warning has told of the delay.
    """
    if _wholes and is_kept:
        tell_of_compiling()
    for whole in _wholes:
        whole.begin_compiling()


def end_compiling() -> None:
    """Ends what ``begin_compiling`` began."""
    for whole in _wholes:
        whole.end_compiling()


def is_terminal(stream: TextIO | None) -> bool:
    """Tells whether a stream is a terminal on which a line can be redrawn."""
    return (
        stream is not None and not stream.closed and stream.isatty()
        and os.environ.get("TERM") != "dumb"
    )  # fmt: skip


def duration(seconds: float) -> str:
    """Returns a time as text: ``3.1 s``, ``2 min 5 s``, ``1 h 12 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _columns() -> int:
    """Returns the width of the terminal; some pseudo-terminals do not know theirs."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def _write(line: str) -> None:
    """Writes a line to stderr, if that is still open."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
