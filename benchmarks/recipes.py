#!/usr/bin/env python
"""Check that the paper recipe learns as it should, and time whole tables.

Decoding includes refinement and export. The table of 341,479 x 100 is made from GloVe's: each row
of 50 columns is followed by another row, rotated and scaled to 0.7 of its length. Run after
`python scripts/fetch_vectors.py fr300` and `... glove.6B.50d`. The paper recipe's first
20 epochs on fr300 serve to compare other implementations of the same network: its validation
loss should fall throughout and end near 312.
"""

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import infer_comp
import train_comp
from benchmarks.machine import describe

PAIRS = "pairs"
CASES = {
    "paper recipe, 20 epochs, fr300": ["fr300", "--recipe", "paper", "-e", "20"],
    "fast recipe, glove.6B.50d, all 400,000 rows": ["glove.6B.50d"],
    "fast recipe, two rows of glove.6B.50d beside each other, 341,479 x 100": [PAIRS],
}
PAIR_ROWS = 341_479


def write_pairs(path: Path) -> None:
    """Writes the table of 100 columns."""
    rows = np.load("data/glove.6B.50d.npy")[:PAIR_ROWS]
    rotation, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(50, 50)))
    others = rows[(np.arange(PAIR_ROWS) * 7 + 3) % PAIR_ROWS]
    np.save(path, np.hstack([rows, 0.7 * others @ rotation.astype(np.float32)]))


def measure(arguments: list[str]) -> dict[str, object]:
    """Trains and decodes one case in a separate directory."""
    name, *flags = arguments
    with tempfile.TemporaryDirectory() as out:
        matrix = Path(f"data/{name}.npy")
        if name == PAIRS:
            matrix = Path(out) / "pairs.npy"
            write_pairs(matrix)
        started = time.perf_counter()
        run = train_comp.main(["--input-matrix", str(matrix), "--out", out, *flags])
        trained = time.perf_counter() - started
        limit = [flag for flag in flags if "--limit" in flags][-2:]
        started = time.perf_counter()
        distance = infer_comp.main(["--model", str(run), *limit])
        decoded = time.perf_counter() - started
        log = json.loads((run / "chainer_report_epoch.log").read_text())
    losses = [entry["validation/main/loss"] for entry in log]
    return {"losses": losses, "trained": trained, "decoded": decoded, "distance": distance}


def main() -> None:
    """Runs every case and prints a table."""
    results = {case: measure(arguments) for case, arguments in CASES.items()}
    print(f"\n{describe()}; M=32, K=16, seed 0\n")
    print("| | validation loss at the end | mean Euclidean distance | training, s | decoding, s |")
    print("| --- | --- | --- | --- | --- |")
    for case, result in results.items():
        print(
            f"| {case} | {result['losses'][-1]:.5g} | {result['distance']:.4g} "
            f"| {result['trained']:.0f} | {result['decoded']:.0f} |"
        )
    losses = next(iter(results.values()))["losses"]
    falls = all(later < earlier for earlier, later in itertools.pairwise(losses))
    print(
        f"\nThe paper recipe's validation losses, epoch by epoch ({'falling' if falls else 'NOT'} "
        f"throughout): {', '.join(f'{loss:.1f}' for loss in losses)}"
    )


if __name__ == "__main__":
    main()
