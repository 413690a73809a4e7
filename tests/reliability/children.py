"""Children of a process that has imported everything: what happens to each is planned."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tests.reliability.shim import UNDISTURBED, Plan, arm

_HANDLERS = (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
)
_LONGEST = 120.0  # seconds after which a child hangs


@dataclass(frozen=True)
class Outcome:
    """The end of a child.

    Attributes:
        status: Its exit status; minus the signal's number if one ended it.
        errors: What it wrote to standard error.
        calls: The calls it made below its directory: kind and path.
        hits: Those of them that the plan met.
        seconds: Its life.
    """

    status: int
    errors: str
    calls: list[tuple[str, str]]
    hits: list[tuple[str, str]]
    seconds: float


class Nursery:
    """Forks children that work below one directory, one at a time.

    Args:
        directory: An empty directory, all for this.

    Attributes:
        root: The children's directory. The plan counts calls below it.
        work: In it, the children's working directory.
        temporary: In it, their directory for temporary files.
    """

    def __init__(self, directory: Path) -> None:
        directory = directory.resolve()
        self.root = directory / "root"
        self.work = self.root / "work"
        self.temporary = self.root / "tmp"
        self._notes = directory / "notes"
        self._notes.mkdir()

    def furnish(self, template: Path | None = None) -> None:
        """Makes the children's directory anew, the working directory a copy of another."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        if template is None:
            self.work.mkdir()
        else:
            shutil.copytree(template, self.work, symlinks=True)

    def run(
        self, body: Callable[[], object], plan: Plan = UNDISTURBED, moment: float | None = None
    ) -> Outcome:
        """Runs a function in a child.

        Args:
            body: The function. ``SystemExit`` gives the child's status.
            plan: What is to happen to the child's calls.
            moment: Seconds after which the child is killed.
        """
        names = [self._notes / name for name in ("stdout", "stderr", "trace")]
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            self._live(body, plan, names)
        timer = threading.Timer(
            _LONGEST if moment is None else moment, os.kill, (child, signal.SIGKILL)
        )
        timer.start()
        # The child stays a zombie, and its number its own, until the timer is through.
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        seconds = time.monotonic() - began
        timer.cancel()
        timer.join()
        _, status = os.waitpid(child, 0)
        lines = names[2].read_text(errors="replace").splitlines()
        calls = [tuple(line.lstrip("!").split(" ", 1)) for line in lines]
        hits = [call for call, line in zip(calls, lines, strict=True) if line.startswith("!")]
        errors = names[1].read_text(errors="replace")
        return Outcome(os.waitstatus_to_exitcode(status), errors, calls, hits, seconds)

    def _live(self, body: Callable[[], object], plan: Plan, names: list[Path]) -> None:
        status = 70
        try:
            descriptors = [os.open(n, os.O_CREAT | os.O_TRUNC | os.O_WRONLY) for n in names]
            os.dup2(descriptors[0], 1)
            os.dup2(descriptors[1], 2)
            os.chdir(self.work)
            os.environ["TMPDIR"] = tempfile.tempdir = str(self.temporary)
            for number, handler in _HANDLERS:
                signal.signal(number, handler)
            tqdm.set_lock(threading.RLock())  # one that no dead child holds
            warnings.simplefilter("default")  # and what was shown before is shown again
            arm(self.root, plan, descriptors[2])
            try:
                body()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
                status = 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(status)
