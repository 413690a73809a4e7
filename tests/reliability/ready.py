"""A process that is ready to fork trials: imported, compiled, with templates made."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.reliability import tasks
from tests.reliability.children import Nursery


@contextmanager
def ready() -> Iterator[tuple[Nursery, tasks.Templates]]:
    """Yields where children are born, and the directories that their tasks begin in."""
    with tempfile.TemporaryDirectory(prefix="reliability-") as scratch:
        directory = Path(scratch).resolve()
        for name in ("warm", "nursery", "templates"):
            (directory / name).mkdir()
        with _elsewhere(directory / "warm"), _silence():
            _warm_up()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the commands have had it for themselves
        nursery = Nursery(directory / "nursery")
        yield nursery, tasks.Templates(nursery, directory / "templates")


def _warm_up() -> None:
    """Imports and compiles, in this process, what children would else do each anew."""
    directory = Path.cwd()
    tasks.make_inputs(directory)
    steps = [tasks.new_run, partial(tasks.settle, directory)]
    steps += [task.body for task in tasks.tasks().values() if task.name in ("decode", "compress")]
    steps += [tasks.command("learn", "m.npy", "made.model", *tasks.SIZE)]
    steps += [tasks.command("encode", "made.model", "m.npy", "made.nnc", *tasks.THREADS)]
    steps += [tasks.command("refine", "made.model", "m.npy", "x.model", *tasks.THREADS)]
    steps += [tasks.command("index", "made.nnc"), tasks.command("merge", "made.nnc", "x.nnc")]
    steps += [tasks.command("export", "out.nnc", "x.txt", "--to", "glove")]
    with contextlib.suppress(ImportError):
        import gensim  # noqa: F401
    for step in steps:
        try:
            step()
        except SystemExit as end:
            raise RuntimeError(f"the warm-up fails with {end.code}") from None


@contextmanager
def _elsewhere(directory: Path) -> Iterator[None]:
    former = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(former)


@contextmanager
def _silence() -> Iterator[None]:
    """Sends to nowhere what this process writes to its standard streams."""
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        for descriptor, number in zip(kept, (1, 2), strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(nowhere)
