"""Work for as long as an hour of it takes: ``python -m tests.reliability.endurance memory``.

Neither memory nor open descriptors grow while a model trains or a file is opened and read, and
threads and processes that read one file at once find in it what one alone finds.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.engine import engine

_ROWS, _GROUPS, _CODEWORDS, _COLUMNS = 20_000, 8, 16, 32
_MOST_GROWTH = 0.01
_EVERY = 1_000  # iterations between two looks at the memory


def memory(directory: Path, size: int) -> str:
    """Trains for so many iterations, and sees that the resident memory stays the same to 1%."""
    from nncompress.chainer_support.compatibility import chainer
    from nncompress.cli import alone, train

    _draw(directory / "plot.png")  # what drawing takes is there from the beginning
    random = np.random.default_rng(0)
    np.save(directory / "m.npy", random.normal(size=(64_000, 8)).astype(np.float32))
    resident = []

    @chainer.training.make_extension(trigger=(_EVERY, "iteration"))
    def look(trainer: chainer.training.Trainer) -> None:
        resident.append(_resident_bytes())

    epochs = max(1, round(size / 1_000))
    arguments = ["-M", "2", "-K", "4", "-b", "64", "-e", str(epochs), "--threads", "1"]
    arguments += ["--input-matrix", str(directory / "m.npy"), "--out", str(directory / "out")]
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        alone.main(train, arguments, extensions=[look])
    return _flat(resident[:-1], f"{epochs * 1_000:,} iterations")  # the end writes once more


def opens(directory: Path, size: int) -> str:
    """Opens a file so many times, with a look at its rows."""
    engine.use("numba")
    path = _table_file(directory)
    resident, descriptors = [], []
    for number in range(size):
        embedding = CompressedEmbedding.load(path)
        embedding.vectors[number % _ROWS]
        if number % max(1, size // 50) == 0:
            resident.append(_resident_bytes())
            descriptors.append(_descriptors())
    if max(descriptors[1:]) > descriptors[0]:
        raise AssertionError(f"descriptors grow from {descriptors[0]} to {max(descriptors)}")
    return _flat(resident, f"{size:,} opens")


def lookups(directory: Path, size: int) -> str:
    """Looks so many rows up, one hundred at a time and by their words."""
    engine.use("numba")
    embedding = CompressedEmbedding.load(_table_file(directory))
    random = np.random.default_rng(1)
    resident, descriptors = [], []
    for number in range(size // 100):
        rows = random.integers(_ROWS, size=99)
        embedding.vectors[rows]
        embedding[f"w{rows[0]}"]
        if number % max(1, size // 5_000) == 0:
            resident.append(_resident_bytes())
            descriptors.append(_descriptors())
    if max(descriptors[1:]) > descriptors[0]:
        raise AssertionError(f"descriptors grow from {descriptors[0]} to {max(descriptors)}")
    return _flat(resident, f"{size:,} look-ups")


def readers(directory: Path, size: int) -> str:
    """Reads one file in 32 threads and in 64 processes at once, so many batches each."""
    path = _table_file(directory)
    shared = CompressedEmbedding.load(path)
    batches = [np.random.default_rng(n).integers(_ROWS, size=500) for n in range(size)]
    table = CompressedEmbedding.load(path)
    expected = [table.vectors[rows].tobytes() for rows in batches]

    def is_same(own: bool) -> bool:
        embedding = CompressedEmbedding.load(path) if own else shared
        found = [embedding.vectors[rows].tobytes() for rows in batches]
        words = all(
            embedding[f"w{rows[0]}"].tobytes() == table.vectors[rows[0]].tobytes()
            for rows in batches
        )
        return found == expected and words

    # Processes first: threads that are under way do not come along into a fork.
    children = [_forked(partial(is_same, number % 2 == 0)) for number in range(64)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(statuses):
        raise AssertionError(f"processes ended with {sorted(set(statuses))}")
    with ThreadPoolExecutor(32) as pool:
        same = list(pool.map(is_same, [number % 2 == 0 for number in range(32)]))
    if not all(same):
        raise AssertionError(f"{same.count(False)} of 32 threads read something else")
    return f"32 threads and 64 processes, {size:,} batches each: all the same as one alone"


# By name: what is done, how often a full one does it, and how often a short one.
ENDURANCE = {
    "memory": (memory, 1_400_000, 30_000),
    "opens": (opens, 10_000, 500),
    "lookups": (lookups, 10_000_000, 200_000),
    "readers": (readers, 200, 5),
}


def _forked(body: Callable[[], bool]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if body() else 3
        finally:
            os._exit(status)
    return child


def _flat(resident: list[int], what: str) -> str:
    """Says how much memory grew after the first tenth.

    Raises:
        AssertionError: By more than a hundredth.
    """
    settled = resident[max(2, len(resident) // 10) :]
    growth = max(settled) / settled[0] - 1
    told = f"{what}: {settled[0]:,} bytes resident, and at most {growth:.3%} more after that"
    if growth > _MOST_GROWTH:
        raise AssertionError(told)
    return told


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _draw(path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([0, 1], label="line")
    figure.savefig(path)


def _table_file(directory: Path) -> Path:
    random = np.random.default_rng(0)
    codes = random.integers(_CODEWORDS, size=(_ROWS, _GROUPS))
    codebook = random.normal(size=(_GROUPS * _CODEWORDS, _COLUMNS)).astype(np.float32)
    words = [f"w{row}" for row in range(_ROWS)]
    CompressedEmbedding.from_codes(codes, codebook, words).save(directory / "table.nnc")
    return directory / "table.nnc"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=list(ENDURANCE), metavar="NAME",
                        help=", ".join(ENDURANCE))  # fmt: skip
    parser.add_argument("--size", type=int, help="how often (default: as an hour of it takes)")
    arguments = parser.parse_args()
    fell = 0
    for name in arguments.names:
        work, size, _ = ENDURANCE[name]
        with tempfile.TemporaryDirectory() as directory:
            try:
                told = work(Path(directory), arguments.size or size)
            except AssertionError as error:
                told, fell = f"fell: {error}", fell + 1
        print(f"{name}: {told}", flush=True)
    sys.exit(1 if fell else 0)


if __name__ == "__main__":
    main()
