#!/usr/bin/env python
"""Compare a compressed fastText model with compress-fasttext's, and measure the memory needed.

Needs `pip install ".[bench]" compress-fasttext fasttext-numpy2-wheel`, or Debian's `fasttext`. A
model of 100 dimensions and 2,000,000 buckets is trained on the docstrings of the standard library
and of all installed packages; words that occur once or twice are left out of its vocabulary and
used as queries. gensim reads the original vectors from the same file.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nncompress
from benchmarks.machine import describe

ROOT = Path(__file__).resolve().parent.parent
DIM, BUCKETS, LEAST, ASKED = 100, 2_000_000, 3, 5_000
_TEXT_BYTES = 10 << 20


def main() -> None:
    """Prints a table of sizes and cosines, and the peak memory of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", type=Path, help="directory for 3 GB of temporary files")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().directory) as scratch:
        folder = Path(scratch)
        text, model = folder / "text.txt", folder / "model.bin"
        counts = write_text(text)
        train(text, model)
        size = model.stat().st_size
        print(f"{describe()}\n")
        rare = [w for w, count in counts.items() if count < LEAST and len(w) > 3][:ASKED]
        print(
            f"{text.stat().st_size:,} bytes of docstrings; the model has {size:,} bytes, of "
            f"{DIM} dimensions and {BUCKETS:,} buckets. Queries: {len(rare):,} words that it does "
            "not have, and as many that it has.\n"
        )
        peak = memory(model, folder / "whole.nnc")
        print(
            f"Peak memory of `nncompress compress`: {peak:,} bytes, {peak / size:.2f} times the "
            "model's size\n"
        )
        compare(model, rare, folder)


def write_text(path: Path) -> Counter:
    """Writes docstrings in lower case, split into words; returns the counts of words."""
    counts: Counter = Counter()
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
    files = sorted({file for folder in folders for file in Path(folder).rglob("*.py")})
    seen = set()
    with path.open("w", encoding="utf-8") as out:
        for file in files:
            for doc in docstrings(file):
                words = re.findall(r"[^\W\d_]+", doc.lower())
                if len(words) > 3 and hash(doc) not in seen:
                    seen.add(hash(doc))
                    counts.update(words)
                    out.write(" ".join(words) + "\n")
            if out.tell() > _TEXT_BYTES:
                break
    return counts


def docstrings(file: Path):
    """Yields the docstrings of a module."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            yield ast.get_docstring(node) or ""


def train(text: Path, model: Path) -> None:
    """Trains skip-grams for five passes."""
    threads = len(os.sched_getaffinity(0))
    if shutil.which("fasttext"):
        command = f"fasttext skipgram -input {text} -output {model.with_suffix('')} -dim {DIM}"
        command += f" -minCount {LEAST} -thread {threads} -verbose 0"
        subprocess.run(command.split(), check=True, capture_output=True)
        return
    import fasttext

    # Each thread initializes a tenth of the matrix; with fewer, the rest would be uninitialized.
    trained = fasttext.train_unsupervised(
        str(text), dim=DIM, minCount=LEAST, thread=max(10, threads), verbose=0
    )
    trained.save_model(str(model))


def memory(model: Path, out: Path) -> int:
    """Returns the peak memory of compressing the whole model, including mapped pages."""
    command = [sys.executable, "-m", "nncompress", "compress", str(model), str(out)]
    process = subprocess.Popen(
        [*command, "--bits-per-dim", "2"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"nncompress compress ended with status {process.returncode}")
    return used.ru_maxrss << 10


def compare(model: Path, rare: list[str], folder: Path) -> None:
    """Prints file sizes, and cosines with the original vectors."""
    import compress_fasttext
    from gensim.models.fasttext import load_facebook_vectors

    keyed = load_facebook_vectors(str(model))
    known = keyed.index_to_key[:: max(1, len(keyed) // len(rare))][: len(rare)]
    before = {"rare": np.array([keyed[w] for w in rare]), "known": keyed[known]}
    print(
        "| | bytes | cosine, words it has not | cosine, words it has |\n| --- | --- | --- | --- |"
    )

    def tell(name: str, size: int, vectors) -> None:
        means = []
        for which, words in (("rare", rare), ("known", known)):
            # A word without any row for its n-grams counts as a cosine of 0.
            own = [vectors[w] if w in vectors else np.zeros(DIM) for w in words]
            means.append(mean_cosine(before[which], np.array(own)))
        print(f"| {name} | {size:,} | {means[0]:.4f} | {means[1]:.4f} |", flush=True)

    tell("the model itself", model.stat().st_size, keyed)
    pruned = nncompress.compress(model, cosine=0.9, prune=True, report=None)
    rows = pruned.table.num_rows
    own = sum(array.nbytes for array in pruned.extras.values())
    own += sum(array.nbytes for array in pruned.shard_vocabularies[0].sections.values())
    num_words, num_kept = len(pruned), pruned.subwords.num_buckets
    for bits, qdim in ((8, DIM), (4, DIM // 2), (2, DIM // 4)):
        theirs = compress_fasttext.prune_ft_freq(
            keyed, new_vocab_size=num_words, new_ngrams_size=num_kept, qdim=qdim, centroids=255
        )
        path = folder / f"theirs-{bits}.kv"
        theirs.save(str(path))
        size = sum(file.stat().st_size for file in folder.glob(f"{path.name}*"))
        tell(f"compress-fasttext, {bits} bits a dimension", size, theirs)
        out = folder / f"ours-{bits}.nnc"
        ours = nncompress.compress(
            model, out, prune=True, bytes_per_row=(size - own) / rows, report=None
        )
        tell("nncompress in as many bytes", out.stat().st_size, ours)
    for bits in (1, 2):
        out = folder / f"ours-{bits}.nnc"
        ours = nncompress.compress(model, out, prune=True, bits_per_dim=bits, report=None)
        tell(f"nncompress, {bits} bits a dimension", out.stat().st_size, ours)
    print(f"\n{num_words:,} words, which use {num_kept:,} buckets.")


def mean_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the mean cosine between rows; 0 for a row of zeros."""
    products = (one * other).sum(axis=1)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(
        np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).mean()
    )


if __name__ == "__main__":
    main()
