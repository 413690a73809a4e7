#!/usr/bin/env python
"""Learn, encode, interrupt, continue, and read a table that is larger than memory.

Rows are generated as they are read (``synthetic_rows.py``): clusters with the spectrum of a real
table's first axes. Each step runs in its own process, and its largest resident set is printed.

    python benchmarks/giant.py --rows 100000000 --dim 160 --spectrum data/wordllama.npy --out DIR

Gathers are timed warm and cold, and compared with rows in bfloat16 and in int4 with one scale per
row, which take 2*D and D/2 + 2 bytes of disk per row. Cold means that the files' pages were
dropped.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from benchmarks.synthetic_rows import SyntheticRows, measured

_MODEL, _TABLE = "giant.model", "giant.nnc"
_COMPARED_ROWS, _REFINED_ROWS = 100_000, 10_000_000
_REPEATS = 5


def main() -> None:
    """Runs the requested steps, or one of them in this process."""
    arguments = _arguments()
    if arguments.step:
        facts = STEPS[arguments.step](arguments)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        print(json.dumps({**facts, "peak_bytes": peak}))
        return
    print(describe())
    arguments.out.mkdir(parents=True, exist_ok=True)
    for step in arguments.steps:
        report = _interrupted if step == "encode" and arguments.kill_after else _run
        print(f"{step}: {report(step, arguments)}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000)
    add("--dim", type=int, default=160)
    add("--spectrum", type=Path, default=Path("data/wordllama.npy"))
    add("--out", type=Path, default=Path("giant"))
    add("--effort", default="quick")
    add("--M", type=int, default=32)
    add("--K", type=int, default=16)
    add("--kill-after", type=float, default=0.0, help="seconds after which encoding is killed")
    add("--steps", nargs="+", choices=[*STEPS], default=["learn", "refine", "encode"])
    add("--step", choices=[*STEPS], help=argparse.SUPPRESS)
    return parser.parse_args()


def _command(step: str) -> list[str]:
    return [sys.executable, __file__, *sys.argv[1:], "--step", step]


def _run(step: str, arguments: argparse.Namespace) -> dict[str, object]:
    done = subprocess.run(_command(step), stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _interrupted(step: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Kills the first process after some time, and continues in another."""
    first = subprocess.Popen(_command(step), stdout=subprocess.DEVNULL)
    time.sleep(arguments.kill_after)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = len(list((arguments.out / f"{_TABLE}.work").glob("*.state")))
    return {**_run(step, arguments), "killed_after": arguments.kill_after, "files_then": done}


def _rows(arguments: argparse.Namespace) -> SyntheticRows:
    spectrum = measured(np.load(arguments.spectrum).astype(np.float32), arguments.dim)
    return SyntheticRows(arguments.rows, spectrum)


def _learn(arguments: argparse.Namespace) -> dict[str, object]:
    from nncompress.embedding.model_file import write_model
    from nncompress.jobs.learning import learn_model
    from nncompress.machine import Machine
    from nncompress.plan import Plan
    from nncompress.sources.open_rows import open_rows

    plan = Plan.of(num_codebooks=arguments.M, num_codewords=arguments.K)
    with open_rows(_rows(arguments)) as source:
        started = time.perf_counter()
        model = learn_model(source, plan, Machine())
        seconds = time.perf_counter() - started
    write_model(arguments.out / _MODEL, model)
    return {"seconds": seconds, "error": model.encoding["error"]}


def _refine(arguments: argparse.Namespace) -> dict[str, object]:
    """Fits the codebook once to the leading rows of the table."""
    from nncompress.embedding.model_file import write_model
    from nncompress.jobs.models import open_model
    from nncompress.jobs.refining import refine_model
    from nncompress.sources.open_rows import open_rows

    with open_rows(_rows(arguments), limit=min(arguments.rows, _REFINED_ROWS)) as source:
        started = time.perf_counter()
        model = refine_model(open_model(arguments.out / _MODEL), source)
        seconds = time.perf_counter() - started
        rows = source.num_rows
    write_model(arguments.out / _MODEL, model)
    return {"rows": rows, "seconds": seconds, "rows_a_second": rows / seconds}


def _encode(arguments: argparse.Namespace) -> dict[str, object]:
    return _encoded(arguments, arguments.out / _TABLE, None)


def _encoded(
    arguments: argparse.Namespace, output: Path, rows: tuple[int, int] | None
) -> dict[str, object]:
    from nncompress.embedding.table_directory import size_of
    from nncompress.jobs.encoding import EncodingSettings, encode_rows
    from nncompress.jobs.models import open_model
    from nncompress.sources.open_rows import open_rows

    with open_rows(_rows(arguments)) as source:
        started = time.perf_counter()
        settings = EncodingSettings(effort=arguments.effort, rows=rows)
        table = encode_rows(open_model(arguments.out / _MODEL), source, output, settings)
        seconds = time.perf_counter() - started
    num_rows = table.table.num_rows
    return {
        "rows": num_rows, "seconds": seconds, "rows_a_second": num_rows / seconds,
        "bytes_a_row": size_of(output) / num_rows, "loss": table.provenance["loss"],
        "shards": len(table.table.shards),
    }  # fmt: skip


def _same(arguments: argparse.Namespace) -> dict[str, object]:
    """Encodes some of the rows without interruption, and compares them with the whole table."""
    from nncompress import CompressedEmbedding

    whole = CompressedEmbedding.load(arguments.out / _TABLE).table
    count = min(500_000, arguments.rows)
    first = (arguments.rows - count) // 2
    output = arguments.out / f"part-{time.time_ns()}.nnc"
    _encoded(arguments, output, (first, first + count))
    part = CompressedEmbedding.load(output).table
    rows = np.arange(count)
    codes = np.concatenate([shard.codes(slice(None)) for shard in part.shards])
    own = np.concatenate([
        shard.codes(rows[(first + rows >= begin) & (first + rows < begin + shard.num_rows)]
                    + first - begin)
        for begin, shard in zip(whole.first_rows, whole.shards, strict=True)
    ])  # fmt: skip
    return {"rows": count, "equal": bool((codes == own).all())}


def _error(arguments: argparse.Namespace) -> dict[str, object]:
    """Compares some rows, encoded with each effort, with full refinement of just these rows.

    The codes of a row do not depend on other rows, so these are encoded exactly as in a job over
    all rows.
    """
    from nncompress import CompressedEmbedding, compress
    from nncompress.jobs.block_encoder import BlockEncoder
    from nncompress.jobs.learning import sampled_rows
    from nncompress.jobs.models import open_model
    from nncompress.machine import Machine
    from nncompress.refinement.encoding import EFFORTS
    from nncompress.sources.open_rows import open_rows

    with open_rows(_rows(arguments)) as source:
        numbers = sampled_rows(arguments.rows, _COMPARED_ROWS)
        rows = source.take(numbers)
    model = open_model(arguments.out / _MODEL)
    found: dict[str, object] = {}
    for name, effort in EFFORTS.items():
        encoder = BlockEncoder(model, effort, Machine())
        encoder.encode(rows[:64], 0)
        started = time.perf_counter()
        sums = encoder.encode(rows, 0).sums
        found[f"{name}: error"] = sums.error
        found[f"{name}: rows_a_second"] = len(rows) / (time.perf_counter() - started)
    table = CompressedEmbedding.load(arguments.out / _TABLE)
    started = time.perf_counter()
    refined = compress(
        rows, num_codebooks=arguments.M, num_codewords=arguments.K, report=None
    ).to_numpy()
    seconds = time.perf_counter() - started
    spread = ((rows - rows.mean(axis=0)) ** 2).sum()
    ours, theirs = (((x - rows) ** 2).sum() / spread for x in (table.vectors[numbers], refined))
    ratios = {f"{name}: ratio": found[f"{name}: error"] / float(theirs) for name in EFFORTS}
    return {
        **found, **ratios, "error_in_the_table": float(ours), "of_full_refinement": float(theirs),
        "seconds_of_full_refinement": seconds,
    }  # fmt: skip


def _gather(arguments: argparse.Namespace) -> dict[str, object]:
    """Times gathers of random rows, warm and cold, compared with bfloat16 and int4 rows."""
    from nncompress import CompressedEmbedding

    others = _others(arguments)
    table = CompressedEmbedding.load(arguments.out / _TABLE, access="random")
    files = {"compressed": sorted((arguments.out / _TABLE).glob("rows-*.nnc"))}
    readers = {"compressed": lambda rows: table.vectors[rows]}
    table.vectors[np.arange(200_000)]  # loads compiled kernels
    for name, (path, row_bytes, decode) in others.items():
        mapped = np.memmap(path, np.uint8, "r", shape=(arguments.rows, row_bytes))
        files[name] = [path]
        readers[name] = lambda rows, mapped=mapped, decode=decode: decode(mapped[np.sort(rows)])
    random = np.random.default_rng(0)
    found: dict[str, object] = {}
    for count in (16, 16_384):
        times: dict[str, list[float]] = {}
        for _ in range(_REPEATS):
            for name, read in readers.items():
                rows = random.integers(arguments.rows, size=count)
                _drop(files[name])
                for state in ("cold", "warm"):
                    started = time.perf_counter()
                    read(rows)
                    elapsed = time.perf_counter() - started
                    times.setdefault(f"{name}, {count} rows, {state}", []).append(elapsed)
                    print(name, count, state, f"{elapsed:.4f}", file=sys.stderr, flush=True)
        found |= {name: float(np.median(each)) for name, each in times.items()}
    return found


def _others(arguments: argparse.Namespace) -> dict[str, tuple]:
    """Writes files of random bytes for the same number of rows in bfloat16 and int4."""
    dim, random = arguments.dim, np.random.default_rng(1)
    kinds = {
        "bfloat16": (
            2 * dim,
            lambda rows: (rows.view(np.uint16).astype(np.uint32) << 16).view("f4"),
        ),
        "int4": (dim // 2 + 2, _of_int4),
    }
    written = {}
    for name, (row_bytes, decode) in kinds.items():
        path = arguments.out / f"{name}.rows"
        if not path.exists():
            block = random.integers(256, size=(65_536, row_bytes), dtype=np.uint8)
            with path.open("wb") as file:
                for first in range(0, arguments.rows, len(block)):
                    file.write(block[: arguments.rows - first].data)
        written[name] = path, row_bytes, decode
    return written


def _of_int4(rows: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):  # scales are random
        scales = np.ascontiguousarray(rows[:, -2:]).view(np.float16).astype(np.float32)
        both = np.stack([rows[:, :-2] & 15, rows[:, :-2] >> 4], axis=2)
        return (both.reshape(len(rows), -1).astype(np.float32) - 8) * scales


def _drop(paths: list[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


STEPS = {
    "learn": _learn,
    "refine": _refine,
    "encode": _encode,
    "same": _same,
    "error": _error,
    "gather": _gather,
}

if __name__ == "__main__":
    main()
