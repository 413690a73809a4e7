"""Mutated inputs by the thousand: none may end in anything but use or one clear refusal.

Run as ``python -m tests.reliability.fuzzing KIND --count 100000 --seed 0 --out DIR``.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nncompress.embedding.engine import engine
from nncompress.errors import InputError

KINDS = Path(__file__).with_name("kinds")
SECONDS = 2  # of a processor, for one input
MOST_SECONDS = 60  # of the clock, should an input wait for something
MEMORY = 512 << 20  # above what a worker has at its start
_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 1 << 31, (1 << 32) - 1, 1 << 62)
_TEXTS = (
    *(
        b"0",
        b"-1",
        b"1",
        b"99999999999999999999",
        b"1e400",
        b"NaN",
        b"1.5",
        b"4294967296",
        b"null",
    ),
    *(b"[]", b"{}", b'"x"', b"true", b"\x00", b"\xff", b"\n", b"\r\n", b"\t", b"[" * 2000),
)


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: Its name, and that of its file in ``kinds/``.
        seeds: Writes good inputs, files or folders, into a directory and returns them.
        use: Opens and uses one as a user would.
        allowed: The exceptions that refuse a bad input.
    """

    name: str
    seeds: Callable[[Path], list[Path]]
    use: Callable[[Path], object]
    allowed: tuple[type[BaseException], ...] = (InputError,)


@dataclass
class Report:
    """What became of the inputs of a kind.

    Attributes:
        tried: How many there were.
        accepted: How many were used to the end.
        refused: How many were refused, by the exception's name.
        failures: What went wrong otherwise, and where the input is kept.
    """

    tried: int = 0
    accepted: int = 0
    refused: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        self.tried += other.tried
        self.accepted += other.accepted
        self.refused += other.refused
        self.failures += other.failures


def load(name: str) -> Kind:
    """Returns a kind by its name."""
    return importlib.import_module(f"tests.reliability.kinds.{name}").KIND


def names() -> list[str]:
    """Returns the names of all kinds."""
    return sorted(path.stem for path in KINDS.glob("*.py") if path.stem != "__init__")


def mutate(data: bytes, random: random.Random, other: bytes = b"") -> bytes:
    """Returns a damaged copy of an input.

    Args:
        data: The input.
        random: Decides on the damage.
        other: Another input, for pieces of it.
    """
    changed = bytearray(data)
    if random.random() < 0.25:  # what lengths and places in the file say stays true
        for _ in range(random.choice((1, 1, 4))):
            _overwrite(changed, random)
        return bytes(changed)
    if random.random() < 0.4 and (header := _change_header(data, random)) is not None:
        changed = bytearray(header)
        if random.random() < 0.7:
            return bytes(changed)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        random.choice(_CHANGES)(changed, random, other or data)
    return bytes(changed)


def _place(data: bytearray, random: random.Random) -> int:
    """Returns a place, often near the beginning or the end, where headers are."""
    if random.random() < 0.5:
        return random.randrange(len(data) + 1)
    near = random.randrange(min(len(data), 256) + 1)
    return near if random.random() < 0.6 else len(data) - near


def _slice(data: bytearray, random: random.Random) -> slice:
    begin = _place(data, random)
    return slice(begin, begin + random.choice((1, 2, 4, 8, random.randrange(1, 300))))


def _flip(data: bytearray, random: random.Random, other: bytes) -> None:
    for _ in range(random.choice((1, 1, 4))):
        if data:
            data[min(_place(data, random), len(data) - 1)] ^= 1 << random.randrange(8)


def _overwrite(data: bytearray, random: random.Random) -> None:
    size = random.choice((1, 1, 2, 4, 8))
    if len(data) >= size:
        place = random.randrange(len(data) - size + 1)
        numbers = (random.choice(_NUMBERS), random.getrandbits(64), data[place] + 1)
        number = random.choice(numbers) % (1 << 8 * size)
        data[place : place + size] = number.to_bytes(size, "little")


def _delete(data: bytearray, random: random.Random, other: bytes) -> None:
    del data[_slice(data, random)]


def _insert(data: bytearray, random: random.Random, other: bytes) -> None:
    place = _place(data, random)
    data[place:place] = random.randbytes(random.choice((1, 2, 8, 64)))


def _duplicate(data: bytearray, random: random.Random, other: bytes) -> None:
    piece = data[_slice(data, random)]
    place = _place(data, random)
    data[place:place] = piece * random.choice((1, 1, 2, 50))


def _truncate(data: bytearray, random: random.Random, other: bytes) -> None:
    del data[_place(data, random) :]


def _splice(data: bytearray, random: random.Random, other: bytes) -> None:
    place = _slice(data, random)
    data[place] = bytearray(other)[_slice(bytearray(other), random)]


def _set_number(data: bytearray, random: random.Random, other: bytes) -> None:
    size = random.choice((1, 2, 4, 8))
    number = random.choice(_NUMBERS) + random.choice((-1, 0, 0, 1))
    place = _place(data, random)
    data[place : place + size] = (number % (1 << 8 * size)).to_bytes(size, "little")


def _set_text(data: bytearray, random: random.Random, other: bytes) -> None:
    """Replaces a number that stands in ASCII, or puts a piece of text anywhere."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", bytes(data[:4096])))
    text = random.choice(_TEXTS)
    if found and random.random() < 0.8:
        match = random.choice(found)
        data[match.start() : match.end()] = text
    else:
        place = _place(data, random)
        data[place:place] = text


_CHANGES = (
    *(_flip, _delete, _insert, _duplicate, _truncate, _splice, _set_number),
    *(_set_text, _set_text),
)


def _change_header(data: bytes, random: random.Random) -> bytes | None:
    """Changes values within a JSON header or file, and repairs the header's length."""
    size = int.from_bytes(data[:8], "little")
    prefixed = size + 8 <= len(data) and data[8:9] == b"{"
    text, rest = (data[8 : 8 + size], data[8 + size :]) if prefixed else (data, b"")
    try:
        tree = json.loads(text) if text[:1] in (b"{", b"[") else None
    except (ValueError, RecursionError):
        return None
    if not tree:
        return None
    for _ in range(random.choice((1, 1, 2, 4))):
        node, key = tree, None
        while isinstance(node, (dict, list)) and node and (key is None or random.random() < 0.8):
            parent = node
            key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
            node = parent[key]
        if key is None:
            break
        if random.random() < 0.15:
            del parent[key]
        else:
            parent[key] = _other_value(node, random)
    changed = json.dumps(tree).encode()
    return (len(changed).to_bytes(8, "little") if prefixed else b"") + changed + rest


def _other_value(value: object, random: random.Random) -> object:
    if type(value) in (int, float) and random.random() < 0.7:
        return random.choice((value + 1, value - 1, -value, value * 2, *_NUMBERS, 1e308, 0.5))
    values = (None, True, -1, 0, 1, 10**30, 1.5, float("inf"), "", "x", "\0", "\ud800", [], [1])
    nested: object = "x" * random.choice((1, 10_000))
    for _ in range(random.choice((1, 50))):
        nested = [nested]
    return random.choice((*values, {}, {"a": 1}, nested, [value], str(value)))


def run(kind: Kind, count: int, seed: int, directory: Path, workers: int = 1) -> Report:
    """Uses mutated inputs in processes of their own.

    An input fails if its use ends its process, takes more than 2 seconds of a processor or more
    than 512 MiB, warns, or raises what is not allowed.

    Args:
        kind: The kind.
        count: How many inputs.
        seed: Each input is a function of the seed and its own number.
        directory: Where inputs that failed are kept.
        workers: How many processes at a time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="fuzzing-", dir=_memory_directory()) as scratch:
        originals = kind.seeds(_made(Path(scratch) / "seeds"))
        engine.use("numba")  # which is loaded after a while otherwise, and is the less forgiving
        for original in originals:  # what is imported and compiled once is no input's
            kind.use(original)
        context = multiprocessing.get_context("fork")
        ranges = [range(first, count, workers) for first in range(workers)]
        jobs = [
            _Worker(context, kind, originals, numbers, seed, directory, Path(scratch) / str(index))
            for index, numbers in enumerate(ranges)
        ]
        for job in jobs:
            report.add(job.finish())
        engine.use("auto")
    return report


class _Worker:
    """A process that goes through some of the inputs; another goes on where it dies."""

    def __init__(self, context, kind, originals, numbers, seed, directory, scratch) -> None:
        self._context = context
        self._job = kind, originals, seed, directory, _made(scratch)
        self._numbers = list(numbers)
        self._start()

    def _start(self) -> None:
        self._receiver, sender = self._context.Pipe(duplex=False)
        self._process = self._context.Process(
            target=_work, args=(*self._job, self._numbers, sender)
        )
        self._process.start()
        sender.close()

    def finish(self) -> Report:
        report = Report()
        while self._numbers:
            try:
                report.add(self._receiver.recv())
                del self._numbers[0]
            except EOFError:
                self._process.join()
                number = self._numbers.pop(0)
                kind, originals, seed, directory, scratch = self._job
                path = _write_input(kind, originals, seed, number, scratch)
                died = f"the process ended with status {self._process.exitcode}"
                report.add(Report(1, failures=[_keep(kind, number, path, directory, died)]))
                if self._numbers:
                    self._start()
        self._process.join()
        self._receiver.close()
        return report


def _work(kind, originals, seed, directory, scratch, numbers, sender) -> None:
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, _out_of_time)
    warnings.simplefilter("error")
    os.environ["TQDM_DISABLE"] = "1"
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    for number in numbers:
        path = _write_input(kind, originals, seed, number, scratch)
        report = Report(1)
        try:
            _set_timers(SECONDS, MOST_SECONDS)
            try:
                kind.use(path)
            finally:
                _set_timers(0, 0)
            report.accepted = 1
        except kind.allowed as refusal:
            report.refused[type(refusal).__name__] += 1
        except BaseException as error:
            seen = f"{type(error).__name__}: {str(error)[:300]}"
            report.failures.append(_keep(kind, number, path, directory, seen))
        sender.send(report)
    sender.close()


def _write_input(kind: Kind, originals: list[Path], seed: int, number: int, scratch: Path) -> Path:
    """Writes the input of a number, always under the name of the original that it was made of."""
    decide = random.Random(f"{kind.name} {seed} {number}")
    original = decide.choice(originals)
    target = scratch / original.name
    if original.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(original, target)
        files = sorted(path for path in original.rglob("*") if path.is_file())
        source = decide.choice(files)
        damaged = target / source.relative_to(original)
        other = decide.choice(files)
    else:
        source, damaged, other = original, target, decide.choice(originals)
    data = mutate(source.read_bytes(), decide, other.read_bytes())
    damaged.unlink(missing_ok=True)  # what is mapped still is not cut
    damaged.write_bytes(data)
    return target


def _keep(kind: Kind, number: int, path: Path, directory: Path, seen: str) -> str:
    kept = directory / f"{kind.name}-{number}-{path.name}"
    if path.is_dir():
        shutil.copytree(path, kept, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, kept)
    return f"{kept}: {seen}"


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _memory_directory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _set_timers(processor: float, clock: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, processor)
    signal.setitimer(signal.ITIMER_REAL, clock)


def _out_of_time(number: int, frame: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(names())}")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzzing"))
    arguments = parser.parse_args()
    failed = False
    for name in arguments.kinds or names():
        start = time.perf_counter()
        report = run(load(name), arguments.count, arguments.seed, arguments.out, arguments.workers)
        print(
            f"{name}: {report.tried} tried, {report.accepted} used, "
            f"{sum(report.refused.values())} refused {dict(report.refused)}, "
            f"{len(report.failures)} failed, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
        for failure in report.failures[:20]:
            print(f"  {failure}")
        failed |= bool(report.failures)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
