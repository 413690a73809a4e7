"""Fits for `rates.py`, each in a separate process that is ended if it takes too long.

Seconds are processor time over all threads, which other work on the machine changes little.
"""

import math
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.rate_configurations import Configuration, Fitted
from benchmarks.rate_measures import Original

OVER, SMALL, FAILED = "over the limit", "nothing so small", "failed"


@dataclass
class Point:
    """A line of the table: a method at a budget.

    Attributes:
        method: Its name.
        budget: The bytes per row that it may take.
        configuration: Its sizes.
        bytes_per_row: The bytes per row that it took; None if there is no result.
        error: See ``rate_measures.Quality``, also for the next two.
        cosine: Mean cosine.
        recall: Neighbours kept at 10.
        seconds: Processor time of the fit.
        code_bits: Bits of a row's codes, if the method reports them.
        code_bound: The Gaussian bound on the error at that number of bits.
        why_not: The reason why there is no result.
        limit: The limit of a fit in processor seconds; None for none.
        over: Configurations that would have taken more.
        tries: Family, work and seconds (None if over the limit) of the fits that were started.
    """

    method: str
    budget: float
    configuration: str = ""
    bytes_per_row: float | None = None
    error: float | None = None
    cosine: float | None = None
    recall: float | None = None
    seconds: float | None = None
    code_bits: float | None = None
    code_bound: float | None = None
    why_not: str = ""
    limit: float | None = None
    over: list[str] = field(default_factory=list)
    tries: list[tuple[str, float, float | None]] = field(default_factory=list)

    def holds(self, limit: float | None) -> bool:
        """Tells whether a fit with this limit would give the same result."""
        return not self.over or (limit is not None and self.limit >= limit)


class Runner:
    """Fits methods to one matrix.

    Args:
        rows: The matrix, float32 ``(N, D)``.
        original: The same rows, which fits are compared with.
        limit: The limit of a fit in processor seconds; None for none.
    """

    def __init__(self, rows: np.ndarray, original: Original, limit: float | None) -> None:
        self._rows, self._original, self.limit = rows, original, limit

    def point(
        self,
        method: str,
        configurations: list[Configuration],
        budget: float,
        before: list[Point],
    ) -> Point:
        """Tries configurations, and keeps the one with the smallest error.

        Args:
            method: The method's name.
            configurations: The configurations to try.
            budget: Bytes per row.
            before: The points of the same method at fewer bytes.
        """
        point = Point(method, budget, limit=self.limit, why_not="" if configurations else SMALL)
        tried = [one for earlier in before for one in earlier.tries]
        queue = list(configurations)
        while queue:
            current = queue.pop(0)
            fitted, seconds = OVER, None
            if self._expected(current, tried):
                fitted, seconds = self._fit(current)
                if fitted != FAILED:
                    point.tries.append((current.family, current.work, seconds))
                    tried.append(point.tries[-1])
            if fitted == OVER:
                point.over.append(current.label)
                queue[:0] = [] if current.cheaper is None else [current.cheaper]
            elif fitted == FAILED:
                point.why_not = FAILED
            else:
                self._keep_better(point, current, fitted, seconds)
        if point.over and point.error is None:
            point.why_not = OVER
        return point

    def _expected(self, configuration: Configuration, tried: list) -> bool:
        """Tells whether a fit may end within the limit, judging by earlier fits of its family."""
        if self.limit is None:
            return True
        for family, work, seconds in tried:
            if family != configuration.family or work > configuration.work:
                continue
            if seconds is None or seconds * configuration.work / work > self.limit:
                return False
        return True

    def _keep_better(
        self, point: Point, configuration: Configuration, fitted: Fitted, seconds: float
    ) -> None:
        quality = self._original.quality(fitted.decoded)
        if point.error is not None and point.error <= quality.error:
            return
        point.configuration, point.seconds, point.why_not = configuration.label, seconds, ""
        point.bytes_per_row = fitted.bytes_per_row or configuration.bytes_per_row
        for name, value in asdict(quality).items():
            setattr(point, name, value)
        point.code_bits = fitted.code_bits
        if fitted.code_bits is not None:
            point.code_bound = self._original.gaussian_error(fitted.code_bits)

    def _fit(self, configuration: Configuration) -> tuple[Fitted | str, float | None]:
        """Returns the fit and its seconds, or the reason why there is none."""
        context = multiprocessing.get_context("forkserver")
        with tempfile.TemporaryDirectory() as scratch:
            np.save(Path(scratch) / "rows.npy", self._rows)
            task = configuration.fit, configuration.options, scratch, self.limit
            child = context.Process(target=_in_child, args=task, daemon=True)
            child.start()
            try:
                child.join()
            finally:
                child.kill()  # also after an interruption
            if child.exitcode == -signal.SIGXCPU:
                return OVER, None
            if child.exitcode != 0:
                print(f"exit status {child.exitcode}: {configuration}", file=sys.stderr)
                return FAILED, None
            decoded = np.load(Path(scratch) / "decoded.npy")
            facts = np.load(Path(scratch) / "facts.npy")
        seconds, size, bits = [None if np.isnan(fact) else float(fact) for fact in facts]
        return Fitted(decoded, size, bits), seconds


def _in_child(
    fit: Callable[..., Fitted], options: dict, scratch: str, limit: float | None
) -> None:
    rows = np.load(Path(scratch) / "rows.npy")
    started = time.process_time()
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        end = math.ceil(started + limit)
        resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))  # SIGXCPU
    fitted = fit(rows, **options)
    seconds = time.process_time() - started
    np.save(Path(scratch) / "decoded.npy", fitted.decoded)
    facts = [seconds, fitted.bytes_per_row, fitted.code_bits]
    np.save(Path(scratch) / "facts.npy", np.array(facts, dtype=np.float64))
