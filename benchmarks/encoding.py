#!/usr/bin/env python
"""Measure how fast rows are encoded and codes are written.

The limit of encoding is the rate of `numpy.matmul` on 2048 x 2048 in float32 over the operations
of the encoder's two products. Both are measured in turn; the figures are medians of seven rounds.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from benchmarks.train_step import product_rate
from nncompress.autoencoder.encoding import encode
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.embedding.codes import write_codes
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix

ROWS = 200_000
ROUNDS = 7


def main() -> None:
    """Prints a table."""
    random = np.random.default_rng(0)
    square = random.normal(size=(2_048, 2_048)).astype(np.float32)
    out = np.empty_like(square)
    machine = Machine()
    print(f"{describe()}; {ROWS:,} rows, medians of {ROUNDS} rounds\n")
    print("| D | M | K | rows a second | GFLOP/s of its products | sgemm, GFLOP/s | share |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for dim, m, k in [(300, 32, 16), (50, 32, 16), (768, 32, 16), (300, 16, 32), (300, 8, 256)]:
        matrix = EmbeddingMatrix(random.normal(size=(ROWS, dim)).astype(np.float32))
        chain = FusedAutoencoder(dim, m, k, init="scaled")
        encode(chain, matrix, machine)
        product_rate(square, out)
        times, limits = [], []
        for _ in range(ROUNDS):
            limits.append(product_rate(square, out))
            time.sleep(0.2)  # the product's threads keep spinning for a while
            started = time.perf_counter()
            encode(chain, matrix, machine)
            times.append(time.perf_counter() - started)
        hidden, logits = m * k // 2, m * k
        rate = ROWS / np.median(times)
        done, limit = 2 * rate * (dim * hidden + hidden * logits), np.median(limits)
        print(
            f"| {dim} | {m} | {k} | {rate:,.0f} | {done / 1e9:.0f} | {limit / 1e9:.0f} "
            f"| {done / limit:.0%} |",
            flush=True,
        )

    codes = random.integers(16, size=(400_000, 32)).astype(np.uint8)
    words = [f"word{i}" for i in range(len(codes))]
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        write_codes(Path(directory) / "codes", codes, words)
        print(f"\n400,000 x 32 codes with words as text: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
