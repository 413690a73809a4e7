#!/usr/bin/env python
"""Measure searches with an inverted file, compared with exact ones and faiss on the same codes.

Tables: clustered rows of length 1 (2,000 centres, a falling spectrum, 16 codes of 4 bits by
residual quantization) for each requested number of rows, and any table in a file. Queries are rows
of the table, one at a time; recall is the share that is found of the 10 nearest by cosine, in an
exact search of the same table. Times are processor times. faiss has the same centres, lists and
codes. It compares by inner product, or by Euclidean distance with each row's squared length stored
beside its codes, since it has no cosines for additive codes.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from nncompress import CompressedEmbedding
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.engine import engine
from nncompress.embedding.index_file import beside
from nncompress.embedding.inverted_file import InvertedFile
from nncompress.embedding.similarity import unit
from nncompress.sources.matrix import spaced_rows
from nncompress.trellis.clusters import find_centres, nearest

DIM, M, K = 64, 16, 16
CENTRES, SAMPLE, BLOCK = 2_000, 40_960, 1 << 16
QUERIES, NEAREST = 400, 10
PROBES = (1, 4, 16, 64)
METRICS = {
    faiss.METRIC_INNER_PRODUCT: faiss.AdditiveQuantizer.ST_LUT_nonorm,
    faiss.METRIC_L2: faiss.AdditiveQuantizer.ST_norm_float,
}


def rows_of(first: int, count: int) -> np.ndarray:
    """Returns clustered rows, float32 ``(count, DIM)``."""
    spectrum = np.arange(1, DIM + 1) ** -0.4
    centres = np.random.default_rng(0).normal(size=(CENTRES, DIM)) * spectrum
    random = np.random.default_rng([1, first])
    own = np.minimum(random.geometric(4 / CENTRES, size=count), CENTRES) - 1
    noise = random.normal(size=(count, DIM)) * spectrum
    rows = centres[own] + 0.7 * noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(num_rows: int) -> CompressedEmbedding:
    """Returns a table of clustered rows, encoded greedily."""
    sample = rows_of(0, SAMPLE)
    codebook = []
    for _ in range(M):
        codebook.append(find_centres(sample, None, K, 1))
        sample -= codebook[-1][nearest(sample, codebook[-1], 1)[0]]
    codes = np.empty((num_rows, M), np.uint8)
    for first in range(0, num_rows, BLOCK):
        rows = rows_of(first, min(BLOCK, num_rows - first))
        for group, codewords in enumerate(codebook):
            own, _ = nearest(rows, codewords, 1)
            codes[first : first + len(rows), group] = own
            rows -= codewords[own]
    return CompressedEmbedding.from_codes(codes, np.concatenate(codebook))


def of_faiss(index: InvertedFile, table: CodeTable, metric: int) -> faiss.Index:
    """Returns faiss's inverted file with the same centres, and the table's codes in its lists."""
    quantizer = faiss.IndexFlat(table.dim, metric)
    quantizer.add(index.centres.astype(np.float32))
    ivf = faiss.IndexIVFLocalSearchQuantizer(
        quantizer, table.dim, index.num_lists, table.num_codebooks, table.packing.bits, metric,
        METRICS[metric],
    )  # fmt: skip
    faiss.copy_array_to_vector(table.codewords.ravel(), ivf.lsq.codebooks)
    ivf.lsq.is_trained = ivf.is_trained = True
    ivf.by_residual = False
    for which in np.flatnonzero(index.lists.lengths).tolist():
        rows = index.lists.read(np.array([which]))
        codes = table.packed[rows]
        if metric == faiss.METRIC_L2:  # with the square of each row's length
            decoded = table.decode(rows)
            squares = np.einsum("nd,nd->n", decoded, decoded).astype(np.float32)
            codes = np.concatenate([codes, squares.view(np.uint8).reshape(-1, 4)], axis=1)
        codes = np.ascontiguousarray(codes)
        ivf.invlists.add_entries(which, len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(codes))
    ivf.ntotal = table.num_rows
    ivf.referenced_objects = [quantizer]
    return ivf


def timed(search: Callable[[int], list[int]], queries: list[int]) -> tuple[list[list[int]], float]:
    """Returns the results, and searches per second of processor time."""
    started = time.process_time()
    found = [search(row) for row in queries]
    return found, len(queries) / (time.process_time() - started)


def recall(found: list[list[int]], exact: list[list[int]]) -> float:
    """Returns the share of exact neighbours that are found."""
    return float(np.mean([len({*a} & {*b}) / NEAREST for a, b in zip(found, exact, strict=True)]))


def measure(name: str, path: Path, lists: int | None) -> None:
    """Prints the results for one table."""
    embedding = CompressedEmbedding.load(path)
    table = embedding.table
    started = time.process_time()
    index = embedding.build_index(lists=lists)
    seconds = time.process_time() - started
    size = beside(path).stat().st_size / table.num_rows
    print(
        f"\n{name}: {table.num_rows:,} rows of {table.dim} columns, {table.row_bytes:.1f} bytes a "
        f"row; {index.num_lists:,} lists, {size:.2f} bytes a row, made in {seconds:.1f} s\n"
    )
    queries = spaced_rows(QUERIES, table.num_rows).tolist()
    probing = CompressedEmbedding.load(path)  # which has not read all rows yet

    def ours(of: CompressedEmbedding, row: int, probe: int | None) -> list[int]:
        return [key for key, _ in of.most_similar(row, topn=NEAREST, probe=probe)]

    embedding.most_similar(0)
    exact, rate = timed(lambda row: ours(embedding, row, None), queries)
    print("| lists looked at | rows looked at | recall@10 | searches a second | again |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| exact | all | 1 | | {rate:,.0f} |")
    vectors = [table.vector(row) for row in queries]
    for probe in PROBES:
        looked_at = np.mean([len(index.candidates(vector, probe)) for vector in vectors])
        found, first = timed(lambda row, probe=probe: ours(probing, row, probe), queries)
        _, again = timed(lambda row, probe=probe: ours(probing, row, probe), queries)
        print(
            f"| {probe} | {looked_at:,.0f} | {recall(found, exact):.3f} | {first:,.0f} | "
            f"{again:,.0f} |", flush=True,
        )  # fmt: skip
    if isinstance(table, CodeTable):
        measure_faiss(index, table, queries, exact)


def measure_faiss(
    index: InvertedFile, table: CodeTable, queries: list[int], exact: list[list[int]]
) -> None:
    """Prints the results of faiss."""
    faiss.omp_set_num_threads(1)
    columns, sizes = [], []
    for metric in METRICS:
        ivf = of_faiss(index, table, metric)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "x.index"
            faiss.write_index(ivf, str(path))
            sizes.append(path.stat().st_size / table.num_rows)
            mapped = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)

            def search(row: int, mapped: faiss.Index = mapped) -> list[int]:
                query = unit(table.vector(row)).astype(np.float32)
                _, ids = mapped.search(query[None], NEAREST + 1)
                return [i for i in ids[0].tolist() if i not in (row, -1)][:NEAREST]

            column = []
            for probe in PROBES:
                mapped.nprobe = probe
                timed(search, queries)
                found, rate = timed(search, queries)
                column.append(f"{recall(found, exact):.3f} | {rate:,.0f}")
            columns.append(column)
    print(f"\nfaiss {faiss.__version__}, mapped: {sizes[0]:.2f} and {sizes[1]:.2f} bytes a row\n")
    print("| lists looked at | by product | searches a second | by distance | |")
    print("| --- | --- | --- | --- | --- |")
    for probe, *cells in zip(PROBES, *columns, strict=True):
        print(f"| {probe} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Prints tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="additional tables to measure")
    parser.add_argument("--rows", nargs="*", type=int, default=[1_000_000, 4_000_000])
    parser.add_argument("--lists", type=int, help="number of lists (default: that of build_index)")
    arguments = parser.parse_args()
    engine.use("numba")
    print(describe())
    with tempfile.TemporaryDirectory() as directory:
        for num_rows in arguments.rows:
            path = Path(directory) / f"{num_rows}.nnc"
            clustered(num_rows).save(path)
            measure("Clustered rows", path, arguments.lists)
        for file in arguments.files:
            path = Path(directory) / file.name
            # Without words, whose lookups would count too.
            CompressedEmbedding.of_table(CompressedEmbedding.load(file).table, None).save(path)
            measure(file.name, path, arguments.lists)


if __name__ == "__main__":
    main()
