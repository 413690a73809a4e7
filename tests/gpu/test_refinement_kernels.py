"""Refinement on a GPU against the CPU's kernels, and against formulas."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress.formats.work import WorkDirectory
from nncompress.machine import Machine, Team
from nncompress.refinement import refine as refinement
from nncompress.refinement.encoding import Effort, RowEncoder
from nncompress.refinement.engines.cpu import CpuEngine
from nncompress.refinement.engines.gpu import GpuEngine
from nncompress.refinement.record import Record
from nncompress.refinement.refine import RefinementSettings, improve_codes, quantize, refine
from nncompress.refinement.rows import CodedRows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization
from tests.cuda_on_cpu.runtime import ORDERS, EmulatedRuntime
from tests.gpu.conftest import machine_of, needs_compiler

# Rows, columns, M and K.
SIZES = [
    *[(101, 13, 5, 8), (9, 20, 32, 16), (61, 7, 4, 3), (33, 11, 7, 17), (19, 5, 2, 256)],
    *[(23, 5, 2, 300), (40, 3, 1, 20)],
]


def coded_rows(engine, size, seed=0, weighted=False):
    num_rows, dim, num_codebooks, num_codewords = size
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(num_rows, dim)) @ random.normal(size=(dim, dim))
    codes = random.integers(num_codewords, size=(num_rows, num_codebooks))
    return CodedRows(
        EmbeddingMatrix(matrix.astype(np.float32)),
        random.exponential(size=num_rows) if weighted else np.ones(num_rows),
        Normalization(random.normal(size=dim).astype(np.float32), 1.7),
        codes.astype(np.uint8 if num_codewords <= 256 else np.uint16),
        random.normal(size=(num_codebooks * num_codewords, dim)),
        seed + (3 << 32),
        engine,
    )


def one_hot(codes, num_codewords):
    return np.eye(num_codewords)[codes].reshape(len(codes), -1)


def distances(rows):
    x = rows.normalized(rows.matrix.take(np.arange(len(rows.matrix)))).astype(np.float64)
    return ((x - one_hot(rows.codes, rows.num_codewords) @ rows.codebook) ** 2).sum(axis=1)


CHANGES = {
    "relax": lambda rows: rows.relax([2.0, 0.7], solve=False),
    "improve": lambda rows: rows.improve(3, 1.2, solve=False),
    "search narrowly": lambda rows: rows.search(1, solve=False),
    "search": lambda rows: rows.search(10, solve=False),
    "search widely": lambda rows: rows.search(65, solve=False),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", SIZES)
def test_codes_are_those_that_the_cpu_finds(runtime, size, change):
    rows, twin = (coded_rows(engine, size) for engine in (GpuEngine(runtime), CpuEngine(Team(2))))
    CHANGES[change](rows)
    CHANGES[change](twin)
    # Where costs are equal up to rounding, either code is right.
    assert (rows.codes == twin.codes).mean() >= 0.99
    assert rows.loss == pytest.approx(twin.loss, rel=1e-3)
    assert rows.loss == pytest.approx(0.5 * distances(rows).mean(), rel=1e-6)


@pytest.mark.parametrize("change", ["improve", "search"])
def test_no_row_gets_worse_codes(runtime, change):
    rows = coded_rows(GpuEngine(runtime), (50, 9, 6, 16), seed=1)
    before = distances(rows)
    for _ in range(3):
        CHANGES[change](rows)
        after = distances(rows)
        assert (after <= before * (1 + 1e-5)).all()
        before = after


@pytest.mark.parametrize("num_codewords", [2, 16, 20, 300])
def test_codes_end_where_no_single_change_helps(runtime, num_codewords):
    rows = coded_rows(GpuEngine(runtime), (30, 6, 4, num_codewords), seed=2)
    for _ in range(6):
        rows.improve(0, 0.0, solve=False)
    before, found = distances(rows), rows.codes.copy()
    for group, code in itertools.product(range(4), range(num_codewords)):
        rows.codes = found.copy()
        rows.codes[:, group] = code
        assert (before <= distances(rows) * (1 + 1e-4) + 1e-3).all()


def test_a_wide_enough_beam_finds_the_best_codes_of_all(runtime):
    groups, num_codewords, num_rows = 3, 5, 30
    rows = coded_rows(GpuEngine(runtime), (num_rows, 4, groups, num_codewords), seed=3)
    rows.search(num_codewords**groups, solve=False)
    found = distances(rows)
    best = np.full(num_rows, np.inf)
    for choice in itertools.product(range(num_codewords), repeat=groups):
        rows.codes[:] = choice
        best = np.minimum(best, distances(rows))
    np.testing.assert_allclose(found, best, rtol=1e-4, atol=1e-4)


def test_samples_follow_the_boltzmann_distribution(runtime, random):
    """One sweep over one group draws exp(-cost/T), whatever the code was."""
    num_codewords, num_rows, temperature = 6, 8_000, 1.5
    codebook = random.normal(size=(num_codewords, 3)).astype(np.float32)
    row = random.normal(size=3).astype(np.float32)
    rows = CodedRows(
        EmbeddingMatrix(np.tile(row, (num_rows, 1))),
        np.ones(num_rows),
        Normalization.identity(3),
        np.zeros((num_rows, 1), np.uint8),
        codebook.astype(np.float64),
        0,
        GpuEngine(runtime),
    )
    rows.relax([temperature], solve=False)
    frequencies = np.bincount(rows.codes[:, 0], minlength=num_codewords) / num_rows
    costs = ((row - codebook) ** 2).sum(axis=1)
    expected = np.exp(-(costs - costs.min()) / temperature)
    np.testing.assert_allclose(frequencies, expected / expected.sum(), atol=0.03)


@pytest.mark.parametrize("num_codewords", [16, 40, 300])
def test_among_equal_codes_the_first_is_taken(runtime, num_codewords):
    rows = coded_rows(GpuEngine(runtime), (20, 6, 3, num_codewords), seed=8)
    rows.codebook[:] = 0.0
    rows.codes[:] = num_codewords - 1
    rows.relax([0.0], solve=False)
    assert (rows.codes == 0).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [*SIZES, (1_001, 150, 3, 40)])
def test_counts_and_sums_are_those_of_one_hot_codes(runtime, to_host, size, weighted):
    rows = coded_rows(GpuEngine(runtime), size, weighted=weighted)
    work = rows.engine.begin(rows)
    for part in (slice(0, 7), slice(7, size[0])):
        x = runtime.xp.asarray(rows.matrix.take(np.arange(size[0])[part]))
        work.tally(x, rows.engine.upload(rows.codes[part]), rows.weights[part])
    equations = work.equations()
    indicators = one_hot(rows.codes, size[3])
    weighed = rows.weights[:, None] * indicators
    exact = rows.matrix.take(np.arange(size[0])).astype(np.float64)
    counts = np.tril(indicators.T @ weighed)
    np.testing.assert_allclose(to_host(equations.counts), counts, rtol=1e-9, atol=1e-9)
    if not weighted:
        assert (to_host(equations.counts) == counts).all()
    np.testing.assert_allclose(to_host(equations.sums), weighed.T @ exact, rtol=1e-9, atol=1e-9)
    assert (to_host(equations.used) == indicators.any(axis=0)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_codebook_is_the_least_squares_one(runtime, weighted):
    rows = coded_rows(GpuEngine(runtime), (300, 12, 5, 8), seed=4, weighted=weighted)
    x = rows.normalized(rows.matrix.take(np.arange(300))).astype(np.float64)
    roots = np.sqrt(rows.weights)[:, None]
    indicators = one_hot(rows.codes, 8)
    best, *_ = np.linalg.lstsq(roots * indicators, roots * x, rcond=None)
    rows.fit()
    errors = ((x - indicators @ best) ** 2).sum(axis=1)
    assert rows.loss == pytest.approx(0.5 * np.average(errors, weights=rows.weights), rel=1e-6)


def test_means_are_those_of_the_rows_of_each_number(runtime, to_host, random):
    x, weights = random.normal(size=(500, 21)).astype(np.float32), random.random(500)
    numbers = random.integers(40, size=500)
    numbers[numbers == 7] = 8
    engine = GpuEngine(runtime)
    send = runtime.xp.asarray
    means = to_host(engine.means(send(x), weights, send(numbers), 40))
    assert (means[7] == 0).all()
    for number in set(numbers):
        of_number = numbers == number
        wanted = np.average(x[of_number], axis=0, weights=weights[of_number])
        np.testing.assert_allclose(means[number], wanted, rtol=1e-5, atol=1e-6)


def test_codewords_that_no_row_uses_come_into_use(runtime):
    rows = coded_rows(GpuEngine(runtime), (120, 12, 4, 8), seed=5)
    rows.codes[:] = 0
    rows.codebook[:] = 1e3  # so far away that no row takes them up
    rows.codebook[::8] = 0.0
    rows.measure()
    first = rows.loss
    for _ in range(5):
        rows.improve(2, rows.temperature)
    assert sum(len(np.unique(group)) for group in rows.codes.T) > 16
    assert rows.loss < 0.5 * first


def assert_alike(found, wanted):
    assert found.start == wanted.start
    assert (found.codes == wanted.codes).mean() >= 0.99
    assert found.losses == pytest.approx(wanted.losses, rel=0.005)
    np.testing.assert_allclose(found.codebook, wanted.codebook, atol=0.05)


@pytest.mark.parametrize(("annealing_rounds", "weighted"), [(0, False), (0, True), (3, True)])
def test_refinement_comes_to_what_the_cpu_comes_to(
    runtime, matrix, random, monkeypatch, weighted, annealing_rounds
):
    monkeypatch.setattr(refinement, "PROBE_ROUNDS", 2)
    start = random.integers(8, size=(70, 5)).astype(np.uint8), random.normal(size=(40, 12))
    options = {
        "weights": random.exponential(size=70) if weighted else None,
        "settings": RefinementSettings(annealing_rounds=annealing_rounds, rounds=2, trials=3),
    }
    rows = EmbeddingMatrix(matrix[:70])
    wanted = refine(rows, *start, **options)
    assert_alike(refine(rows, *start, **options, machine=machine_of(runtime)), wanted)


def test_rows_are_quantized_and_encoded_as_on_the_cpu(runtime, matrix):
    settings = RefinementSettings(annealing_rounds=0, rounds=2, trials=2)
    rows, others = EmbeddingMatrix(matrix[:100]), EmbeddingMatrix(matrix[100:140])

    def run(machine):
        found = quantize(rows, 5, 8, machine=machine, settings=settings)
        codes = np.zeros((len(others), 5), np.uint8)
        options = {"machine": machine, "settings": settings}
        return found, improve_codes(others, codes, found.codebook, **options)

    wanted, wanted_codes = run(Machine())
    found, codes = run(machine_of(runtime))
    assert_alike(found, wanted)
    assert (codes == wanted_codes).mean() >= 0.99


@pytest.mark.parametrize("effort", [Effort(3, 1, 1), Effort(2, 8, 8)])
def test_rows_are_encoded_as_on_the_cpu_whatever_the_block(runtime, effort):
    rows = coded_rows(None, (60, 9, 6, 16), seed=8)
    block = rows.matrix.take(np.arange(60))
    how = rows.export_codebook(), 6, rows.normalization, 1.0, effort, 3

    first = (1 << 32) - 30
    wanted = RowEncoder(*how, Machine()).encode(block, first)
    encoder = RowEncoder(*how, machine_of(runtime))
    codes = encoder.encode(block, first)
    assert (codes == wanted).mean() >= 0.99
    parts = [encoder.encode(block[i : i + 7], first + i) for i in range(0, 60, 7)]
    assert np.array_equal(np.concatenate(parts), codes)

    on_cpu = RowEncoder(*how, Machine())
    errors = encoder.errors(block, codes)
    np.testing.assert_allclose(errors, on_cpu.errors(block, codes), rtol=1e-4)
    sums = encoder.block_sums(block[:20], codes[:20]) + encoder.block_sums(block[20:], codes[20:])
    same = on_cpu.block_sums(block, codes)
    assert np.array_equal(np.tril(sums.counts), np.tril(same.counts))
    np.testing.assert_allclose(sums.sums, same.sums, atol=1e-4)
    (codebook, loss), (wanted_codebook, wanted_loss) = encoder.solve(sums), on_cpu.solve(same)
    np.testing.assert_allclose(codebook, wanted_codebook, atol=1e-3)
    assert np.isclose(loss, wanted_loss, rtol=1e-4)


def everything(runtime, size=(45, 9, 6, 16)):
    """Returns codes, codebook and loss after a pass of each kind."""
    rows = coded_rows(GpuEngine(runtime), size, seed=6, weighted=True)
    rows.relax([1.5])
    rows.search(12)
    rows.improve(2, 1.0)
    return rows.codes, rows.codebook, rows.loss


def assert_same(one, other):
    for first, second in zip(one, other, strict=True):
        assert np.array_equal(first, second)


@needs_compiler
def test_the_order_of_the_threads_changes_nothing():
    ascending, *others = (everything(EmulatedRuntime(order)) for order in ORDERS)
    for other in others:
        assert_same(ascending, other)


def test_runs_repeat_bit_for_bit(runtime):
    assert_same(everything(runtime), everything(runtime))


@needs_compiler
def test_rows_that_do_not_fit_are_sent_in_every_pass_with_the_same_results(monkeypatch):
    assert_same(everything(EmulatedRuntime()), everything(EmulatedRuntime(free_bytes=0)))
    monkeypatch.setattr("nncompress.refinement.engines.gpu._BLOCK_NUMBERS", 16 * 96)
    in_blocks = everything(EmulatedRuntime())
    assert_same(in_blocks, everything(EmulatedRuntime(free_bytes=0)))


def test_a_pass_that_is_stopped_goes_on_to_the_same_end(
    runtime, tmp_path, stop_and_go, monkeypatch
):
    monkeypatch.setattr("nncompress.refinement.engines.gpu._BLOCK_NUMBERS", 16 * 96)

    def passes(work):
        rows = coded_rows(GpuEngine(runtime), (101, 13, 5, 8), weighted=True)
        rows.record = work and Record(work, "rows")
        rows.measure()
        rows.relax([2.0, 0.7])
        rows.improve(3, 1.2)
        return rows.codes, rows.codebook, rows.loss

    def job():
        with WorkDirectory.open(tmp_path / "w") as work:
            work.require({"seed": 0})
            return passes(work)

    found, stops = stop_and_go(job, 2)
    assert stops > 3
    assert_same(found, passes(None))


def test_rows_are_sent_once(runtime, monkeypatch):
    rows = coded_rows(GpuEngine(runtime), (30, 6, 4, 8))
    rows.measure()

    def batches(*_):
        raise AssertionError("rows were read again")

    monkeypatch.setattr(EmbeddingMatrix, "batches", batches)
    rows.relax([1.0])
    rows.with_codebook(rows.codebook, "copy").fit()


@needs_compiler
@pytest.mark.parametrize("size", [(9, 9, 6, 16), (7, 5, 5, 3)])
def test_a_beam_too_large_for_shared_memory_finds_the_same(size):
    def search(shared_bytes):
        rows = coded_rows(GpuEngine(EmulatedRuntime(shared_bytes=shared_bytes)), size, seed=7)
        rows.search(65, solve=False)
        return rows.codes

    assert_same(search(99 << 10), search(4 << 10))


@needs_compiler
def test_nothing_of_it_imports_numba_or_chainer():
    program = """
import sys
import numpy as np
from nncompress.machine import Machine, Team
from nncompress.refinement import refine
from nncompress.sources import EmbeddingMatrix
from tests.cuda_on_cpu.runtime import EmulatedRuntime

machine = Machine()
machine.runtime = EmulatedRuntime()
rows = EmbeddingMatrix(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
settings = refine.RefinementSettings(annealing_rounds=0, rounds=1, trials=1)
found = refine.quantize(rows, 2, 4, machine=machine, settings=settings)
refine.improve_codes(rows, found.codes, found.codebook, machine=machine, settings=settings)
assert not {"numba", "llvmlite", "chainer"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
