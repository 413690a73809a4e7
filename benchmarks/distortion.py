#!/usr/bin/env python
"""Measure how close compressed tables stay to the original, with their sizes and times.

Needs `pip install faiss-cpu gensim`, and `python scripts/fetch_vectors.py fr300` (and
`glove.6B.50d`) first. All methods get the same rows and the same cores. This project's seconds
are those of its commands, from process start to the files written, with kernels already compiled;
faiss's are those of `train` and `compute_codes`. Rows are padded with zeros if a method needs the
number of columns to be a multiple of M.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from nncompress.embedding.codes import reconstruct

ROOT = Path(__file__).resolve().parent.parent
MATRICES = {"fr300": ("data/fr300.npy", None), "glove": ("data/glove.6B.50d.npy", 50_000)}
WORDS = {"glove": "data/glove.6B.50d.word"}
M, K = 32, 16
SEEDS = 5
HURRY = ["-e", "6", "--time-budget", "2"]


@dataclass
class Result:
    """A line of the table."""

    name: str
    row_bytes: float  # codes alone
    other_bytes: float  # codebook, rotation, scales
    decoded: np.ndarray
    seconds: float | None


def run_commands(
    path: str, limit: int | None, train: list[str], infer: list[str], num_codebooks: int
) -> tuple[np.ndarray, float]:
    """Trains and decodes with the two commands; returns the decoded rows and the seconds."""
    few = [] if limit is None else ["--limit", str(limit)]
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        call("train_comp.py", "--input-matrix", path, "--out", out, "-M", str(num_codebooks),
             "-K", str(K), *few, *train)  # fmt: skip
        (run,) = Path(out).iterdir()
        call("infer_comp.py", "--model", str(run), *few, *infer)
        seconds = time.perf_counter() - started
        (text,) = run.glob("*.codes")
        codes = np.loadtxt(text, dtype=np.int64, ndmin=2)
        codebook = np.load(next(run.glob("*.codebook.npy")))
    return reconstruct(codes, codebook), seconds


def call(script: str, *arguments: str) -> None:
    """Runs a script of this project, silently."""
    subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def ours(path: str, limit: int | None, dim: int) -> Iterator[Result]:
    """Yields the results of this project, with several settings."""
    ways = (
        ("paper recipe, 200 epochs", M, ["--recipe", "paper"], ["--no-refine"]),
        ("fast, training alone", M, [], ["--no-refine"]),
        ("**fast, refined (the default)**", M, [], []),
        ("fast, refined, in a hurry", M, HURRY[:2], HURRY[2:]),
        ("**fast, refined, 64 bits**", M // 2, [], []),
    )
    for name, num_codebooks, train, infer in ways:
        decoded, seconds = run_commands(path, limit, train, infer, num_codebooks)
        yield Result(name, num_codebooks / 2, 4 * num_codebooks * K * dim, decoded, seconds)


def additive(x: np.ndarray) -> Iterator[Result]:
    """Yields the results of faiss's quantizers, at 128 bits."""
    import faiss

    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    dim = x.shape[1]
    padded = -(-dim // M) * M
    bits = 4
    half = -(-dim // 2) * 2
    splits = (half, 2, M // 2, bits)

    def quantizer(make: Callable[[], object], beam: int | None = None):
        made = make()
        if beam is not None:
            made.max_beam_size = beam
            for i in range(getattr(made, "nsplits", 0)):
                faiss.downcast_AdditiveQuantizer(made.subquantizer(i)).max_beam_size = beam
        return made

    ways = (
        ("faiss PQ", padded, lambda: faiss.ProductQuantizer(padded, M, bits), 4 * K * padded),
        ("faiss OPQ", padded, None, 4 * (K * padded + padded * padded)),
        ("faiss RQ, beam 30", dim,
         lambda: quantizer(lambda: faiss.ResidualQuantizer(dim, M, bits), 30), 4 * M * K * dim),
        ("faiss LSQ", dim, lambda: faiss.LocalSearchQuantizer(dim, M, bits), 4 * M * K * dim),
        ("faiss PRQ, 2 splits", half,
         lambda: faiss.ProductResidualQuantizer(*splits), 2 * M * K * half),
        ("faiss PLSQ, 2 splits", half,
         lambda: faiss.ProductLocalSearchQuantizer(*splits), 2 * M * K * half),
    )  # fmt: skip
    for name, width, make, size in ways:
        rows = np.zeros((len(x), width), np.float32)
        rows[:, :dim] = x
        started = time.perf_counter()
        if make is None:
            rotation = faiss.OPQMatrix(width, M)
            rotation.pq = faiss.ProductQuantizer(width, M, bits)
            rotation.train(rows)
            rotated = rotation.apply(rows)
            method = faiss.ProductQuantizer(width, M, bits)
            method.train(rotated)
            codes = method.compute_codes(rotated)
            seconds = time.perf_counter() - started
            decoded = rotation.reverse_transform(method.decode(codes))
        else:
            method = make()
            method.train(rows)
            codes = method.compute_codes(rows)
            seconds = time.perf_counter() - started
            decoded = method.decode(codes)
        yield Result(name, M * bits / 8, size, decoded[:, :dim], seconds)


def scalar(x: np.ndarray) -> Iterator[Result]:
    """Yields the results of rounding numbers one by one, with a scale for each row."""
    dim = x.shape[1]
    largest = np.abs(x).max(axis=1, keepdims=True)
    for bits in (8, 4):
        steps = 2 ** (bits - 1) - 1
        scale = np.where(largest > 0, largest, 1) / steps
        yield Result(f"int{bits} rows", dim * bits / 8 + 4, 0, np.round(x / scale) * scale, None)
    signs = np.where(x >= 0, 1, -1) * np.abs(x).mean(axis=1, keepdims=True)
    yield Result("1-bit rows", np.ceil(dim / 8) + 4, 0, signs, None)


def gaussian_bound(x: np.ndarray, bits: float) -> float:
    """Returns the lower bound on half the mean squared distance for Gaussian rows.

    The bound is that of rows with the same covariance, at the same number of bits, by reverse
    water-filling (Cover and Thomas, "Elements of Information Theory", section 10.3.3).
    """
    variances = np.maximum(np.linalg.eigvalsh(np.cov(x.T.astype(np.float64))), 1e-30)
    low, high = 1e-30, variances.max()
    for _ in range(300):
        level = np.sqrt(low * high)
        rate = 0.5 * np.log2(np.maximum(variances / level, 1)).sum()
        low, high = (level, high) if rate > bits else (low, level)
    return 0.5 * np.minimum(variances, level).sum()


def word_scores(words: list[str], vectors: np.ndarray) -> tuple[float, float, float]:
    """Returns Spearman correlations on WordSim-353 and SimLex-999, and analogy accuracy."""
    from gensim.models import KeyedVectors
    from gensim.test.utils import datapath

    table = KeyedVectors(vectors.shape[1])
    table.add_vectors(words, vectors.astype(np.float32))
    pairs = [
        table.evaluate_word_pairs(datapath(name), restrict_vocab=len(words))[1][0]
        for name in ("wordsim353.tsv", "simlex999.txt")
    ]
    return *pairs, analogies(words, vectors, Path(datapath("questions-words.txt")))


def analogies(words: list[str], vectors: np.ndarray, path: Path, most: int = 30_000) -> float:
    """Returns gensim's accuracy on "a is to b as c is to d" among the most frequent words."""
    index = {word: i for i, word in reversed(list(enumerate(words[:most])))}
    lines = path.read_text(encoding="utf-8").lower().splitlines()
    questions = np.array([
        [index[word] for word in line.split()]
        for line in lines
        if not line.startswith(":") and all(word in index for word in line.split())
    ])  # fmt: skip
    unit = vectors[:most] / np.maximum(np.linalg.norm(vectors[:most], axis=1), 1e-12)[:, None]
    right = 0
    for first in range(0, len(questions), 1_000):
        a, b, c, d = questions[first : first + 1_000].T
        scores = (unit[b] - unit[a] + unit[c]) @ unit.T
        for taken in (a, b, c):
            scores[np.arange(len(a)), taken] = -np.inf
        right += int((scores.argmax(axis=1) == d).sum())
    return right / len(questions)


def line_of(name: str, x: np.ndarray, result: Result | None, words: list[str] | None) -> str:
    """Returns a line of the table; without a result, the line of the original table."""
    decoded = x if result is None else result.decoded
    size = x.nbytes if result is None else result.row_bytes * len(x) + result.other_bytes
    error = np.linalg.norm(x - decoded, axis=1).astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(decoded, axis=1)
    cosine = np.einsum("nd,nd->n", x, decoded) / np.maximum(lengths, 1e-12)
    seconds = "" if result is None or result.seconds is None else f"{result.seconds:.1f}"
    scores = ""
    if words is not None:
        scores = "".join(f" {score:.4f} |" for score in word_scores(words, decoded))
    return (
        f"| {name} | {size / len(x):.2f} | {size:,.0f} | {0.5 * (error**2).mean():.5g} "
        f"| {error.mean():.4g} | {cosine.mean():.4f} | {seconds} |{scores}"
    )


def five_seeds(path: str, limit: int, words: list[str]) -> str:
    """Returns the median word scores of the default over seeds."""
    scores = []
    for seed in range(SEEDS):
        decoded, _ = run_commands(path, limit, ["--seed", str(seed)], [], M)
        scores.append(word_scores(words, decoded))
    medians = [statistics.median(column) for column in zip(*scores, strict=True)]
    return ", ".join(f"{median:.4f}" for median in medians)


def main() -> None:
    """Runs all methods on one matrix and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("matrix", choices=MATRICES)
    name = parser.parse_args().matrix
    path, limit = MATRICES[name]
    x = np.load(path)[:limit].astype(np.float32)
    words = None
    if name in WORDS:
        words = Path(WORDS[name]).read_text(encoding="utf-8").split("\n")[: len(x)]
    # Kernels are compiled on their first use.
    run_commands(path, 2_000, ["-e", "1"], [], M)

    heads = ("", "bytes a row", "bytes", "half mean squared distance", "mean distance",
             "mean cosine", "seconds")  # fmt: skip
    scores = ("WordSim-353", "SimLex-999", "analogies") if words else ()
    print(f"\n{describe()}; {name}, {len(x):,} x {x.shape[1]}\n", flush=True)
    print(f"| {' | '.join((*heads, *scores))} |")
    print(f"|{' --- |' * len((*heads, *scores))}")
    print(line_of("the table, float32", x, None, words), flush=True)
    for results in (ours(path, limit, x.shape[1]), additive(x), scalar(x)):
        for result in results:
            print(line_of(result.name, x, result, words), flush=True)
    bounds = ", ".join(f"{gaussian_bound(x, bits):.4g} at {bits} bits" for bits in (64, 128))
    print(f"\nGaussian bound of half the mean squared distance: {bounds}")
    if words:
        print(
            f"Median word scores of the default, {SEEDS} seeds: {five_seeds(path, limit, words)}"
        )


if __name__ == "__main__":
    main()
