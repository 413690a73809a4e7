#!/usr/bin/env python
"""Measure how fast a compressed table is opened, looked up and searched.

Needs `pip install ".[bench]"` and `python scripts/fetch_vectors.py glove.6B.50d`. 400,000 words,
M=32 and K=16. All contenders in a table of results take turns in one process, with as many threads
as there are cores; opening is timed in separate processes.
"""

import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.machine import describe
from benchmarks.tables import TABLES, saved
from nncompress.embedding.engine import engine

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, STARTS, WORDS, BATCH = 15, 9, 2_000, 50_000
OPEN = """
import json, re, sys, time
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
started = time.perf_counter()
{imports}
imported, before = time.perf_counter(), resident()
table = {load}
opened = time.perf_counter()
after = resident()
table[{word!r}]
looked_up = time.perf_counter()
print(json.dumps([imported - started, opened - imported, after - before, looked_up - opened]))
"""


def main() -> None:
    """Prints tables."""
    print(f"{describe()}; medians: {STARTS} starts, {ROUNDS} rounds, {WORDS:,} words\n")
    for name, make in TABLES.items():
        embedding, path = saved(make(), "lookup.nnc")
        words = list(embedding)
        vectors = embedding.to_numpy()
        gensim = peers.gensim_vectors(words, vectors)
        gensim.save(str(path.with_name("lookup.kv")))
        print(f"## {name}\n")
        opening(path, words[7])
        random = np.random.default_rng(1)
        asked = [words[i] for i in random.integers(len(words), size=WORDS)]
        single(embedding, gensim, words, vectors, asked)
        batches(embedding, vectors, random)
        nearest(embedding, gensim, asked)
        check(embedding, vectors, random)


def opening(path: Path, word: str) -> None:
    """Times a fresh process's import, opening and first lookup."""
    ways = {
        "**nncompress**": ("from nncompress import CompressedEmbedding",
                           f"CompressedEmbedding.load({str(path)!r})"),
        "gensim, mapped": ("from gensim.models import KeyedVectors",
                           f"KeyedVectors.load({str(path.with_name('lookup.kv'))!r}, mmap='r')"),
    }  # fmt: skip
    print("| | import, s | open, ms | memory added, MiB | first lookup, ms |")
    print("| --- | --- | --- | --- | --- |")
    results: dict[str, list] = {way: [] for way in ways}
    for _ in range(STARTS):
        for way, (imports, load) in ways.items():
            code = OPEN.format(imports=imports, load=load, word=word)
            run = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True
            )
            results[way].append(json.loads(run.stdout))
    for way, measured in results.items():
        imported, opened, memory, first = map(statistics.median, zip(*measured, strict=True))
        print(
            f"| {way} | {imported:.3f} | {opened * 1e3:.2f} | {memory / 1024:.2f} "
            f"| {first * 1e3:.2f} |"
        )
    print(flush=True)


def single(embedding, gensim, words, vectors, asked: list[str]) -> None:
    """Times lookups of single words."""
    half, rows = vectors.astype(np.float16), {word: row for row, word in enumerate(words)}
    vocabulary, quantizer = peers.product_quantized(words, vectors)
    ways = {
        "**nncompress, Numba**": ("numba", embedding.__getitem__),
        "**nncompress, NumPy**": ("numpy", embedding.__getitem__),
        "gensim, uncompressed": (None, gensim.__getitem__),
        "navec, 16 x 256": (None, lambda word: quantizer[vocabulary[word]]),
        "float16 and a dictionary": (None, lambda word: half[rows[word]].astype(np.float32)),
    }
    times: dict[str, list] = {way: [] for way in ways}
    for first in range(0, len(asked), 100):
        for way, (chosen, look_up) in ways.items():
            engine.use(chosen or "auto")
            look_up(asked[0])
            for word in asked[first : first + 100]:
                started = time.perf_counter_ns()
                look_up(word)
                times[way].append(time.perf_counter_ns() - started)
    print("| one word's vector | microseconds |\n| --- | --- |")
    for way, measured in times.items():
        print(f"| {way} | {statistics.median(measured) / 1e3:.1f} |")
    print(flush=True)


def batches(embedding, vectors, random) -> None:
    """Times the decoding of many rows."""
    table = embedding.table
    quantizer, packed = peers.additive_quantizer(table)
    chosen = random.integers(table.num_rows, size=BATCH)
    half = vectors.astype(np.float16)
    ways = {
        "**nncompress, Numba**": ("numba", lambda: embedding.vectors[chosen]),
        "**nncompress, NumPy**": ("numpy", lambda: embedding.vectors[chosen]),
        "faiss additive quantizer, decode": (None, lambda: quantizer.decode(packed[chosen])),
        "float16 to float32": (None, lambda: half[chosen].astype(np.float32)),
    }
    medians = take_turns(ways)
    theirs = medians["faiss additive quantizer, decode"]
    print(f"| {BATCH:,} random rows | million rows a second | of faiss |\n| --- | --- | --- |")
    for way, seconds in medians.items():
        print(f"| {way} | {BATCH / seconds / 1e6:.2f} | {theirs / seconds:.2f} |")
    print(flush=True)


def nearest(embedding, gensim, asked: list[str]) -> None:
    """Times the search for the ten nearest words."""
    index = embedding.to_faiss()
    words = itertools.cycle(asked)
    ways = {
        "**nncompress, Numba**": ("numba", lambda: embedding.most_similar(next(words))),
        "**nncompress, NumPy**": ("numpy", lambda: embedding.most_similar(next(words))),
        "gensim, uncompressed": (None, lambda: gensim.most_similar(next(words))),
        "faiss index of the same codes, inner product": (
            None, lambda: index.search(embedding[next(words)][None], 10)
        ),
    }  # fmt: skip
    medians = take_turns(ways, 3 * ROUNDS)
    theirs = medians["gensim, uncompressed"]
    print("| ten nearest words | ms | gensim's time over it |\n| --- | --- | --- |")
    for way, seconds in medians.items():
        print(f"| {way} | {seconds * 1e3:.2f} | {theirs / seconds:.1f} |")
    print(flush=True)


def take_turns(ways: dict[str, tuple[str | None, Callable]], rounds: int = ROUNDS):
    """Returns the median seconds of each way."""
    times: dict[str, list] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, (chosen, work) in ways.items():
            engine.use(chosen or "auto")
            time.sleep(0.05)  # other libraries' threads keep waiting for work for a while
            warm = time.perf_counter() + 0.05  # and an idle core takes a while to speed up
            while time.perf_counter() < warm:
                work()
            started = time.perf_counter()
            work()
            if number:
                times[way].append(time.perf_counter() - started)
    return {way: statistics.median(measured) for way, measured in times.items()}


def check(embedding, vectors, random, number: int = 1_000) -> None:
    """Compares the ten nearest words with a search through all decoded rows."""
    engine.use("numba")
    queries = random.choice(len(vectors), size=number, replace=False)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    same = 0
    for first in range(0, number, 50):
        rows = queries[first : first + 50]
        scores = units[rows] @ units.T
        scores[np.arange(len(rows)), rows] = -np.inf
        for row, exact in zip(rows, scores, strict=True):
            found = embedding.most_similar(int(row))
            numbers = [embedding.get_index(word) for word, _ in found]
            best = np.sort(np.partition(exact, -10)[-10:])[::-1]
            same += len(set(numbers)) == 10 and np.abs(exact[numbers] - best).max() <= 1e-6
    print(f"For {same} of {number:,} random rows, the ten nearest words are those of a search ")
    print("through all decoded rows, except for swaps within 1e-6 of the cosine.\n", flush=True)


if __name__ == "__main__":
    main()
