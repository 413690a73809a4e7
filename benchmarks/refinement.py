#!/usr/bin/env python
"""Measure how close refinement's kernels are to the cost of the work they cannot avoid.

One process, one thread; each kernel and each part of its limit take turns, and the figures are
medians of the repeats. The work is counted on the same rows: the codes a kernel changes, the costs
it looks at, the rows of the Gram matrix it adds up. Each of these is then done on its own, on the
same numbers in the same order, by a loop that does nothing else:

- products: `numpy.matmul` of rows and codebook, on one BLAS thread
- tables: M rows of the Gram matrix added up for each row, from the nearest cache
- changes: two rows of the Gram matrix added to a table for each change of a code
- looks: one comparison of each cost (in sampling, with noise from another place)
- branches: for beam search, one row of K numbers for each node of the tree of paths
- copies: for beam search, a path for each path that is kept
- sums, weights: for the tally, a row of D in float64 for each code, and a weight for each pair

ICM is assumed to look at each group twice if it changes a code, and to change no code twice, but
it does more. So a limit can never quite be reached.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from nncompress.cpu.vectors import copy, count_bits, exchange, gather_sum, up_to
from nncompress.machine import Team
from nncompress.random.noise import Stream, generator
from nncompress.refinement.engines.cpu import CpuEngine
from nncompress.refinement.engines.interface import Draw
from nncompress.refinement.rows import CodedRows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization

SIZES = [(50, 32, 16), (300, 32, 16), (50, 8, 256), (300, 8, 256)]
TRAINED_ROWS = 8_192
ANNEALING_ROUNDS = 12
ROWS = {"relax": 1_024, "improve": 512, "search": 64, "tally": 4_096}
SWEEPS = np.linspace(1.5, 0.4, 8)  # temperatures, in units of what rows have left
WARM, TRIALS, ICM_SWEEPS = 1.7, 32, 4
WIDTH = 128
COUNTED_ROWS = 8  # rows whose paths are followed in NumPy
ROUNDS = 7
PLACES = 8_192
WORD = 64


@njit
def replay_changes(table, gram, new, old):
    """Changes a table once for each changed code."""
    first, base = np.int64(table.ctypes.data), np.int64(gram.ctypes.data)
    size = np.int64(table.size)
    for i in range(new.size):
        exchange(
            first, first, base + 4 * size * np.int64(new[i]), base + 4 * size * np.int64(old[i]),
            size,
        )  # fmt: skip


@njit(fastmath={"contract", "nsz", "reassoc"})
def look(costs, noise, temperature, tables, limit):
    """Counts costs that are below a limit after adding noise, one table of costs at a time."""
    below = np.float32(0)
    state = np.uint32(0)
    one, nothing = np.float32(1), np.float32(0)
    for _ in range(tables):
        state = np.uint32(state * np.uint32(1664525) + np.uint32(1013904223))
        place = np.int64(state) % (noise.size - costs.size)
        draws = noise[place : place + costs.size]
        for k in range(costs.size):
            below += one if costs[k] - temperature * draws[k] < limit else nothing
    return below


@njit
def look_at_masks(costs, masks, limit):
    """Counts costs up to a limit."""
    first, count = np.int64(costs.ctypes.data), 0
    for mask in range(masks):
        place = first + 4 * WORD * (mask % (costs.size // WORD))
        count += count_bits(up_to(place, limit))
    return count


@njit
def add_rows(total, rows, units, ends):
    """Adds up rows given by number, one run of them at a time."""
    address, matrix = np.int64(total.ctypes.data), np.int64(rows.ctypes.data)
    first = 0
    for i in range(ends.size):
        sizes = (np.int64(ends[i] - first), np.int64(total.size), np.int64(rows.shape[1]))
        gather_sum(address, address, matrix, np.int64(units.ctypes.data + 4 * first), sizes)
        first = ends[i]


@njit
def copy_paths(longer, paths, times):
    """Copies paths one after another."""
    target, source = np.int64(longer.ctypes.data), np.int64(paths.ctypes.data)
    size = np.int64(paths.shape[1])
    for i in range(times):
        place = 4 * size * (i & (WIDTH - 1))
        copy(target + place, source + place, size)


@njit
def add_to_sums(sums, x, units):
    """Adds each row to the sums of its codewords, in float64."""
    for i in range(units.shape[0]):
        for group in range(units.shape[1]):
            row, total = x[i], sums[units[i, group]]
            for j in range(row.size):
                total[j] += np.float64(row[j])


@njit
def add_weights(counts, places):
    """Adds a weight to numbers one after another."""
    for i in range(places.size):
        counts[places[i]] += 1.0


class Workload:
    """Rows with annealed codes, the kernels that change them, and the parts of their work.

    Args:
        dim: D.
        num_codebooks: M.
        num_codewords: K.
    """

    def __init__(self, dim: int, num_codebooks: int, num_codewords: int) -> None:
        random = np.random.default_rng(0)
        spectrum = 1.0 / np.sqrt(1.0 + np.arange(dim) / 8.0)  # similar to tables of words
        x = (random.normal(size=(TRAINED_ROWS, dim)) * spectrum).astype(np.float32)
        x /= x.std()
        units = num_codebooks * num_codewords
        self.rows = CodedRows(
            EmbeddingMatrix(x), np.ones(len(x)), Normalization.identity(dim),
            random.integers(num_codewords, size=(len(x), num_codebooks)).astype(np.uint16),
            random.normal(size=(units, dim)) / np.sqrt(num_codebooks), 0, CpuEngine(Team(1)),
        )  # fmt: skip
        self.rows.measure()
        self.rows.fit()
        for temperature in np.linspace(2.0, 0.4, ANNEALING_ROUNDS):
            self.rows.relax([temperature * self.rows.temperature] * 4)
        self.x = x
        self.groups, self.num_codewords = num_codebooks, num_codewords
        self.codebook = self.rows.codebook.astype(np.float32)
        self.first_units = np.arange(num_codebooks, dtype=np.int32) * num_codewords
        self.noise = (
            generator(0, Stream.PERTURBATION)
            .gumbel(size=PLACES + num_codewords)
            .astype(np.float32)
        )
        self.order = np.argsort(
            -self.codebook.reshape(num_codebooks, num_codewords, dim).var(axis=1).sum(axis=1),
            kind="stable",
        )
        self.work = self.rows.engine.begin(self.rows)

    def codes(self, name: str) -> np.ndarray:
        """Returns a copy of a kernel's initial codes, int32."""
        return self.rows.codes[: ROWS[name]].astype(np.int32)

    def run(self, name: str, codes: np.ndarray) -> None:
        """Runs a kernel once."""
        x = self.x[: len(codes)]
        if name == "relax":
            self.relax(codes, SWEEPS)
        elif name == "improve":
            self.improve(codes, TRIALS)
        elif name == "search":
            self.work.search(x, codes, self.order, WIDTH)
        else:
            self.work.tally(x, codes, self.rows.weights[: len(codes)])

    def relax(self, codes: np.ndarray, temperatures: np.ndarray, position: int = 0) -> None:
        """Samples codes at temperatures in units of the rows' current temperature."""
        scaled = (temperatures * self.rows.temperature).astype(np.float32)
        self.work.relax(self.x[: len(codes)], codes, 0, self._draw(position), scaled)

    def improve(self, codes: np.ndarray, trials: int) -> None:
        """Improves codes by ICM."""
        temperature = WARM * self.rows.temperature
        x = self.x[: len(codes)]
        self.work.improve(x, codes, 0, self._draw(1), temperature, trials, ICM_SWEEPS)

    def parts(self, name: str) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
        """Returns the work that a kernel cannot avoid, as functions, and their repeats."""
        if name == "tally":
            return self._parts_of_tally()
        count, units = ROWS[name], len(self.codebook)
        x, codebook_t = self.x[:count], np.ascontiguousarray(self.codebook.T)
        parts: dict[str, Callable[[], object]] = {"products": lambda: x @ codebook_t}
        times = {"products": 1.0}
        if name == "search":
            return self._parts_of_search(parts, times)
        gram, table = self.work._gram, np.zeros(units, np.float32)
        near = np.ascontiguousarray(gram[: self.groups, :WORD])
        rows_added = np.tile(np.arange(self.groups, dtype=np.int32), count)
        ends = np.arange(1, count + 1) * self.groups
        total = np.zeros(WORD, np.float32)
        parts["tables"] = lambda: add_rows(total, near, rows_added, ends)
        times["tables"] = units / WORD
        if name == "relax":
            new, old = self._changes_of_relax()
            times["changes"] = 1.0
            tables = len(SWEEPS) * count
        else:
            new, old, settling = self._changes_of_a_trial()
            times["changes"] = TRIALS
            tables = TRIALS * count
            numbers = TRIALS * 2 * settling * units
            parts["looks of ICM"] = lambda: look_at_masks(table, numbers // WORD, np.float32(1))
            times["looks of ICM"] = 1.0
        parts["changes"] = lambda: replay_changes(table, gram, new, old)
        noise, temperature = self.noise, np.float32(0.5)
        parts["looks"] = lambda: look(table, noise, temperature, tables, np.float32(-9))
        times["looks"] = 1.0
        return parts, times

    def _draw(self, position: int) -> Draw:
        return Draw(0, int(Stream.PERTURBATION), position, self.noise)

    def _changed(self, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the new codewords and the ones they replaced, in the order of rows."""
        changed = before != after
        return (after + self.first_units)[changed], (before + self.first_units)[changed]

    def _changes_of_relax(self) -> tuple[np.ndarray, np.ndarray]:
        """Finds the changes of each sweep: the first sweeps draw the same without the others."""
        found, before = [], self.codes("relax")
        for sweeps in range(1, len(SWEEPS) + 1):
            after = self.codes("relax")
            self.relax(after, SWEEPS[:sweeps])
            found.append((before, after))
            before = after
        before, after = (np.stack(states, axis=1) for states in zip(*found, strict=True))
        return self._changed(before, after)

    def _changes_of_a_trial(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Finds the changes of one trial, and the number of rows that change at all."""
        settled = self.codes("improve")
        self.improve(settled, TRIALS)
        sampled = settled.copy()
        self.relax(sampled, np.array([WARM]), 2)
        ended = sampled.copy()
        self.improve(ended, 0)
        before, after = np.stack([settled, sampled], 1), np.stack([sampled, ended], 1)
        return *self._changed(before, after), int((settled != sampled).any(axis=1).sum())

    def _parts_of_search(
        self, parts: dict[str, Callable[[], object]], times: dict[str, float]
    ) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
        nodes = [[] for _ in self.order]
        looked = kept = 0
        for row in self.x[:COUNTED_ROWS]:
            unary = (self.codebook**2).sum(axis=1) - 2 * self.codebook @ row
            paths, totals = np.zeros((1, 0), np.int32), np.zeros(1, np.float32)
            for step, group in enumerate(self.order):
                new = np.ones(paths.shape, bool)  # where a path leaves the one before it
                new[1:] = np.logical_or.accumulate(paths[1:] != paths[:-1], axis=1)
                nodes[step].append(paths[new])
                own = slice(group * self.num_codewords, (group + 1) * self.num_codewords)
                block = self.work._pairs[group][:, : self.num_codewords]
                costs = totals[:, None] + unary[own] + block[paths].sum(axis=1)
                best = np.sort(np.argsort(costs, axis=None, kind="stable")[:WIDTH])
                units = (own.start + best % self.num_codewords).astype(np.int32)
                paths = np.column_stack([paths[best // self.num_codewords], units])
                looked += costs.size
                totals, kept = costs.ravel()[best], kept + len(best)
        steps = [
            (
                self.work._pairs[group], np.concatenate(found).astype(np.int32),
                np.cumsum([len(units) for units in found]),
            )
            for group, found in zip(self.order, nodes, strict=True)
        ]  # fmt: skip
        total = np.zeros(self.work._pairs.shape[2], np.float32)
        scale = ROWS["search"] / COUNTED_ROWS
        costs = np.zeros(WIDTH * self.num_codewords, np.float32)
        paths, longer = np.zeros((2, WIDTH, -(-self.groups // 16) * 16), np.int32)
        parts["branches"] = lambda: [add_rows(total, *step) for step in steps]
        parts["looks"] = lambda: look_at_masks(costs, looked // WORD, np.float32(1))
        parts["copies"] = lambda: copy_paths(longer, paths, kept)
        return parts, times | {"branches": scale, "looks": scale, "copies": scale}

    def _parts_of_tally(self) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
        x, units = self.x[: ROWS["tally"]], self.codes("tally") + self.first_units
        total = len(self.codebook)
        sums, counts = np.zeros((total, x.shape[1])), np.zeros(total**2)
        pairs = np.tril_indices(self.groups)
        places = (units[:, pairs[0]].astype(np.int64) * total + units[:, pairs[1]]).ravel()
        parts = {
            "sums": lambda: add_to_sums(sums, x, units),
            "weights": lambda: add_weights(counts, places),
        }
        return parts, {"sums": 1.0, "weights": 1.0}


def seconds(function: Callable[[], object]) -> float:
    """Returns the processor time of one call."""
    started = time.process_time()
    function()
    return time.process_time() - started


def measure(workload: Workload, name: str, rounds: int) -> tuple[float, dict[str, float]]:
    """Returns a kernel's microseconds per row, and those of each part of its limit."""
    parts, times = workload.parts(name)
    for part in parts.values():
        part()
    workload.run(name, workload.codes(name))
    found: dict[str, list[float]] = {part: [] for part in parts}
    own = []
    for _ in range(rounds):
        codes = workload.codes(name)
        own.append(seconds(lambda codes=codes: workload.run(name, codes)))
        for part, function in parts.items():
            found[part].append(seconds(function) * times[part])
    scale = 1e6 / ROWS[name]
    medians = {part: float(np.median(values)) * scale for part, values in found.items()}
    return float(np.median(own)) * scale, medians


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only D=50, fewer repeats")
    quick = parser.parse_args().quick
    rounds = 3 if quick else ROUNDS
    print(f"{describe()}; one thread, medians of {rounds}\n")
    columns = ["kernel", "D", "M", "K", "rows/s", "its limit", "made of, us a row", "share"]
    print(f"| {' | '.join(columns)} |")
    print("| --- " * len(columns) + "|")
    with threadpool_limits(1, user_api="blas"):
        for size in SIZES:
            if quick and size[0] != SIZES[0][0]:
                continue
            workload = Workload(*size)
            for name in ROWS:
                taken, parts = measure(workload, name, rounds)
                limit = sum(parts.values())
                made = ", ".join(f"{part} {value:.2f}" for part, value in parts.items())
                row = [name, *size, f"{1e6 / taken:,.0f}", f"{1e6 / limit:,.0f}", made]
                print(f"| {' | '.join(map(str, [*row, f'{limit / taken:.0%}']))} |", flush=True)


if __name__ == "__main__":
    main()
