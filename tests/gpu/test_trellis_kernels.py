"""The residual stage on a GPU against the CPU's kernels: the same levels, counts and bytes."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nncompress.embedding.residual_kernels import Reading
from nncompress.embedding.trellis_code import trellis_code
from nncompress.machine import Machine, Team
from nncompress.sources import EmbeddingMatrix
from nncompress.trellis.engines import make_engine
from nncompress.trellis.engines.cpu import CpuEngine
from nncompress.trellis.engines.gpu import GpuEngine
from nncompress.trellis.quantizer import Settings
from nncompress.trellis.scales import MOST_SCALES, RATIO, Scales, in_slots
from nncompress.trellis.stage import Remainder, make_residual
from tests.cuda_on_cpu.runtime import ORDERS, EmulatedRuntime
from tests.gpu.conftest import HAS_GPU, machine_of, needs_compiler

ROOT = Path(__file__).resolve().parents[2]
CPU = CpuEngine(Team(2))
LAM = 0.35
# Rows and axes; and bits of a state, by how a warp's lanes and words have room for the states:
# more of either than are needed, as many, and less.
SIZES = [(19, 37), (70, 9), (3, 131), (5, 1)]
STATE_BITS = [3, 6, 8, 10]


def problem(size, seed=0):
    """Returns rows of all scales, some of them far out, and what goes with them."""
    num_rows, num_axes = size
    random = np.random.default_rng(seed)
    axis_scales = random.integers(-3, MOST_SCALES + 3, size=num_axes).astype(np.int32)
    spread = 0.12 * RATIO ** np.clip(axis_scales, 0, MOST_SCALES - 1)
    rows = (random.standard_t(3, size=size) * spread).astype(np.float32)
    rows[0] = 0.0
    class_offsets = np.sort(random.permutation(np.arange(-9, 9))[:11]).astype(np.int32)
    classes = random.integers(11, size=num_rows).astype(np.uint8)
    scales = Scales.gaussian()
    points = scales.points + random.normal(0, 0.05, scales.points.shape).astype(np.float32)
    return SimpleNamespace(
        rows=rows,
        axis_scales=axis_scales,
        class_offsets=class_offsets,
        classes=classes,
        offsets=class_offsets[classes],
        fees=random.random(11).astype(np.float32),
        class_frequencies=in_slots(random.random(11)),
        scales=scales,
        tables=(points, *scales.tables[1:]),
    )


def classes_of(engine, p):
    look_up = p.scales.cost_of_sizes(LAM, np.inf)
    return engine.choose_classes(p.rows, p.axis_scales, p.class_offsets, p.fees, look_up)


def walk(engine, p, code):
    return engine.walk(p.rows, p.offsets, p.axis_scales, p.tables, LAM, code)


def count(engine, p, levels, code):
    counted = engine.count(p.rows, levels, p.offsets, p.axis_scales, p.tables, code)
    return [getattr(counted, field.name) for field in fields(counted)]


def write(engine, p, levels, code, block_rows):
    reading = Reading(p.axis_scales, p.class_offsets, p.scales.shifts)
    return engine.write(
        levels, p.classes, block_rows, reading, code, p.scales.frequencies, p.class_frequencies
    )


def everything(engine, size, state_bits=8, block_rows=2):
    p, code = problem(size), trellis_code(state_bits)
    levels = walk(engine, p, code)
    return [
        classes_of(engine, p),
        levels,
        *count(engine, p, levels, code),
        *write(engine, p, levels, code, block_rows),
    ]


def assert_same(one, other):
    for found, wanted in zip(one, other, strict=True):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("state_bits", STATE_BITS)
@pytest.mark.parametrize("size", SIZES)
def test_levels_are_those_of_the_cpu(runtime, size, state_bits):
    p, code = problem(size), trellis_code(state_bits)
    assert_same([walk(GpuEngine(runtime), p, code)], [walk(CPU, p, code)])


@pytest.mark.parametrize("size", SIZES)
def test_row_classes_are_those_of_the_cpu(runtime, size):
    p = problem(size)
    assert_same([classes_of(GpuEngine(runtime), p)], [classes_of(CPU, p)])


def test_more_classes_than_a_warp_has_lanes_and_the_first_of_equal_ones(runtime):
    p = problem((7, 5))
    p.class_offsets = np.arange(-40, 60, dtype=np.int32)  # beyond all scales many are equal
    p.fees = np.ones(100, np.float32)
    chosen = classes_of(GpuEngine(runtime), p)
    assert_same([chosen], [classes_of(CPU, p)])


@pytest.mark.parametrize("size", [*SIZES, (300, 4)])
def test_counts_sums_errors_and_bits_are_those_of_the_cpu(runtime, size):
    p, code = problem(size), trellis_code(8)
    levels = walk(CPU, p, code)
    assert_same(count(GpuEngine(runtime), p, levels, code), count(CPU, p, levels, code))


@pytest.mark.parametrize("block_rows", [1, 4, 16])
@pytest.mark.parametrize("size", SIZES)
def test_bytes_are_those_of_the_cpu(runtime, size, block_rows):
    p, code = problem(size), trellis_code(8)
    levels = walk(CPU, p, code)
    levels[-1] = 0
    wanted = write(CPU, p, levels, code, block_rows)
    assert_same(write(GpuEngine(runtime), p, levels, code, block_rows), wanted)


def test_one_class_takes_no_bits(runtime):
    p, code = problem((5, 9)), trellis_code(8)
    p.classes[:] = 0
    p.class_frequencies = np.array([4096], np.uint16)
    levels = walk(CPU, p, code)
    assert_same(write(GpuEngine(runtime), p, levels, code, 2), write(CPU, p, levels, code, 2))


@needs_compiler
def test_the_order_of_the_threads_changes_nothing():
    ascending, *others = (everything(GpuEngine(EmulatedRuntime(o)), (9, 40)) for o in ORDERS)
    for other in others:
        assert_same(other, ascending)


@needs_compiler
def test_tiles_and_the_size_of_the_gpu_change_nothing(monkeypatch):
    wanted = everything(GpuEngine(EmulatedRuntime()), (45, 7), 6, 3)
    module = "nncompress.trellis.engines.gpu"
    monkeypatch.setattr(f"{module}._TILE_BYTES", 4 * 7 * 20)
    monkeypatch.setattr(f"{module}._CHOICE_BYTES", 0)  # four warps walk for all rows
    assert_same(everything(GpuEngine(EmulatedRuntime(multiprocessors=1)), (45, 7), 6, 3), wanted)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_whole_table_comes_out_as_on_the_cpu(runtime, matrix, random, weighted):
    rows, settings = matrix[:100], Settings(step=0.7, block_rows=2)
    weights = random.uniform(1, 2, size=100) if weighted else None
    machine = machine_of(runtime)
    assert isinstance(make_engine(machine), GpuEngine)
    wanted, found = (
        make_residual(Remainder(EmbeddingMatrix(rows)), settings, machine, weights)
        for machine in (Machine(threads=2), machine)
    )
    for part in ("tables", "stream"):
        one, other = getattr(found, part), getattr(wanted, part)
        for field in fields(one):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name))
    total = np.zeros_like(rows)
    found.add_to(np.arange(100), total)
    assert np.square(total - rows).mean() < 0.5 * settings.step**2


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.trellis.quantizer import Settings
from nncompress.trellis.stage import Remainder, make_residual
from tests.cuda_on_cpu.runtime import EmulatedRuntime

machine = Machine(NUMBER)
if NUMBER < 0:
    machine.runtime = EmulatedRuntime()
rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
residual = make_residual(Remainder(EmbeddingMatrix(rows)), Settings(0.3), machine)
total = np.zeros_like(rows)
residual.add_to(np.arange(40), total)
print(np.square(total - rows).mean() < 0.5 * 0.3**2)
"""


@pytest.mark.parametrize(
    "gpu",
    [
        pytest.param(-1, marks=needs_compiler),
        pytest.param(0, marks=pytest.mark.skipif(not HAS_GPU, reason="there is no GPU here")),
    ],
)
def test_nothing_of_it_needs_numba(gpu):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_NUMBA.replace("NUMBER", str(gpu))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "True"
