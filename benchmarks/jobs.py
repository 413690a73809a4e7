#!/usr/bin/env python
"""Compress whole tables by way of a sample, with each effort, compared with the one road.

    python benchmarks/jobs.py data/glove.6B.50d.npy pairs

``pairs`` is the table of 341,479 x 100 from ``recipes.py``. M=32, K=16. With ``--workers``, rows
are also encoded by a scheduler's processes on this machine, with one thread each.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from benchmarks.recipes import write_pairs
from nncompress import compress, encode_rows, learn_model, refine_model
from nncompress.jobs.encoding import EncodingSettings
from nncompress.jobs.scheduling import workers
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources.open_rows import open_rows

PLAN = Plan.of(num_codebooks=32, num_codewords=16)


def main() -> None:
    """Measures the given tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    print(describe())
    for name in arguments.tables:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(name)
            if name == "pairs":
                path = Path(directory) / "pairs.npy"
                write_pairs(path)
            measure(path, Path(directory), arguments.workers)


def measure(path: Path, directory: Path, processes: list[int]) -> None:
    """Prints seconds and losses of one table."""
    print(f"{path.name}: {'seconds':>30} {'rows a second':>14} {'loss':>9}")
    with open_rows(path) as source:
        count = source.num_rows

        def told(what: str, make: Callable[[], object]) -> object:
            started = time.perf_counter()
            made = make()
            seconds = time.perf_counter() - started
            facts = getattr(made, "encoding", None) or made.provenance
            print(f"{what:<28} {seconds:>12.1f} {count / seconds:>14,.0f} {facts['loss']:>9.5g}")
            sys.stdout.flush()
            return made

        model = told("learn", lambda: learn_model(source, PLAN, Machine()))
        model = told("refine", lambda: refine_model(model, source))

        def encode(effort: str, name: str, runner: Callable | None = None) -> object:
            settings = EncodingSettings(effort)
            return encode_rows(model, source, directory / f"{name}.nnc", settings, runner=runner)

        for effort in EFFORTS:
            told(f"encode, {effort}", partial(encode, effort, effort))
        for number in processes:
            with workers(f"local:{number}", {"source": str(path)}, "default") as helpers:
                runner = partial(helpers.encode, model)
                what = f"encode, default, {number} workers"
                told(what, partial(encode, "default", f"{number}-workers", runner))
    told("the one road", lambda: compress(
        path, directory / "x.nnc", num_codebooks=32, num_codewords=16, report=None
    ))  # fmt: skip


if __name__ == "__main__":
    main()
