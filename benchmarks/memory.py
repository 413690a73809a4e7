#!/usr/bin/env python
"""Measure the memory that training takes on a matrix that may be larger than memory.

Writes a 6 GiB matrix of 300 columns to a temporary directory (--directory sets another place for
it), trains on it with train_comp.py, and watches the process's anonymous resident memory, which
excludes the matrix's own pages in the page cache.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe

ROOT = Path(__file__).resolve().parent.parent
BYTES = 6 << 30
DIM = 300


def write_matrix(path: Path) -> None:
    """Writes the matrix in pieces."""
    rows = BYTES // (4 * DIM)
    matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, DIM))
    random = np.random.default_rng(0)
    piece = random.normal(size=(100_000, DIM)).astype(np.float32)
    for start in range(0, rows, len(piece)):
        matrix[start : start + len(piece)] = piece[: rows - start]
    matrix.flush()


def resident(pid: int) -> tuple[int, int]:
    """Returns anonymous and file-backed resident memory in KiB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return tuple(int(fields.get(key, "0 kB").split()[0]) for key in ("RssAnon", "RssFile"))


def main() -> None:
    """Prints the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", type=Path, help="directory for 6 GiB of temporary files")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().directory) as scratch:
        path = Path(scratch) / "large.npy"
        write_matrix(path)
        command = [sys.executable, str(ROOT / "train_comp.py"), "--input-matrix", str(path)]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--out", scratch], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        most = (0, 0)
        while process.poll() is None:
            most = tuple(map(max, most, resident(process.pid)))
            time.sleep(0.05)
        seconds = time.perf_counter() - started
    print(describe())
    print(
        f"6 GiB, {BYTES // (4 * DIM):,} x {DIM}: exit status {process.returncode} after "
        f"{seconds:.0f} s; anonymous resident memory at most {most[0] / 1024:.0f} MiB, "
        f"of the file at most {most[1] / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    main()
