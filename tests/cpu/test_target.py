"""Kernels for other processors than this one: what they are made of, and what comes out."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba.core.registry import cpu_target

from nncompress.cpu import target

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_SETTINGS = {
    name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CPU_")
}
HERE = cpu_target.target_context.codegen().magic_tuple()
needs_x86 = pytest.mark.skipif(
    not HERE[0].startswith("x86_64"), reason="the names are those of x86 processors"
)
HAS_AVX512 = bool(llvm.get_host_cpu_features().get("avx512f"))
needs_avx2 = pytest.mark.skipif(
    not llvm.get_host_cpu_features().get("avx2"), reason="AVX2 cannot run here"
)


def run(script: str, tmp_path: Path, **environment: str) -> str:
    """Returns what a script prints in a process of its own, with its own compiled kernels."""
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**WITHOUT_SETTINGS, "NUMBA_CACHE_DIR": str(tmp_path), **environment},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_x86
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("generic", (16, 16, False, False)),
        ("nehalem", (16, 16, False, False)),
        ("ivybridge", (32, 16, True, False)),
        ("haswell", (32, 16, True, True)),
        ("znver3", (32, 16, True, True)),
        ("skylake-avx512", (64, 32, True, True)),
    ],
)
def test_vectors_are_those_of_numbas_settings(tmp_path, name, expected):
    script = (
        "from nncompress.cpu import target; "
        "print(target.VECTOR_BYTES, target.REGISTERS, int(target.READS_HALVES), "
        "int(target.PERMUTES))"
    )
    found = run(script, tmp_path, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES="")
    assert tuple(map(int, found.split())) == expected


def test_vectors_of_this_processor_are_those_that_llvm_knows_it_to_have():
    features = llvm.get_host_cpu_features()
    wanted = 64 if features.get("avx512f") else 32 if features.get("avx") else 16
    if HERE[1] == llvm.get_host_cpu_name():
        assert wanted == target.VECTOR_BYTES


# Losses and gradients of the fused step, and refined losses, as JSON.
RESULTS = """
import json
import numpy as np
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.cpu import target
from nncompress.machine import Machine
from nncompress.refinement.refine import RefinementSettings, quantize
from nncompress.sources import EmbeddingMatrix

random = np.random.default_rng(0)
found = {}
for m, k, dim in ((4, 16, 50), (3, 20, 37)):
    chain = FusedAutoencoder(dim, m, k, machine=Machine(threads=1), init="scaled", seed=1)
    x = random.normal(size=(70, dim)).astype(np.float32)
    loss = chain(x, random.gumbel(size=(70, m, k)).astype(np.float32))
    chain.cleargrads()
    loss.backward()
    found[f"loss {k}"] = float(loss.array)
    for name, parameter in chain.namedparams():
        found[f"{name} {k}"] = parameter.grad.tolist()
    few = RefinementSettings(annealing_rounds=2, rounds=1, trials=2)
    matrix = EmbeddingMatrix(random.normal(size=(600, dim)).astype(np.float32))
    found[f"refined {k}"] = quantize(matrix, m, k, settings=few, machine=Machine()).losses
print(json.dumps([target.VECTOR_BYTES, found]))
"""


@needs_x86
@needs_avx2
def test_results_are_those_of_other_instructions_up_to_rounding(tmp_path):
    """Those of AVX2, and of AVX-512 where it is or of SSE where it is not."""
    results = []
    for name, width in (("haswell", 32), ("", 64) if HAS_AVX512 else ("nehalem", 16)):
        settings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""} if name else {}
        found = run(RESULTS, tmp_path, **settings)
        vector_bytes, numbers = json.loads(found.splitlines()[-1])
        assert vector_bytes == width
        results.append(numbers)
    one, other = results
    for name, numbers in one.items():
        numbers, theirs = np.array(numbers), np.array(other[name])
        # One code that another order of rounding changes is more than rounding.
        tolerance = 1e-3 if name.startswith("refined") else 1e-5
        assert np.linalg.norm(numbers - theirs) <= tolerance * np.linalg.norm(numbers), name


# The assembly for Arm of what computes a tile, by vectors and registers of NEON.
TILE_FOR_ARM = """
import re, sys, types
sys.modules["nncompress.cpu.target"] = types.SimpleNamespace(
    VECTOR_BYTES=16, REGISTERS=32, READS_HALVES=True, PERMUTES=False
)
import llvmlite.binding as llvm
import numpy as np
from numba import njit
from nncompress.cpu import product

@njit("void(int64, int64, int64, UniTuple(int64, 3), int64, int64, int64, boolean)")
def tile(a, b, c, strides, height, vectors, inner, going_on):
    product._tile(np.float32(0), height, vectors, inner, going_on, (a, b, c), strides)

(code,) = tile.inspect_llvm().values()
code = re.sub("target triple = .*", 'target triple = "aarch64-linux-gnu"', code)
layout = "e-m:e-i8:8:32-i16:16:32-i64:64-i128:128-n32:64-S128"
code = re.sub("target datalayout = .*", f'target datalayout = "{layout}"', code)
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
target = llvm.Target.from_triple("aarch64-linux-gnu")
machine = target.create_target_machine(cpu="neoverse-n1", opt=3)
print(machine.emit_assembly(llvm.parse_assembly(code)))
"""


@needs_x86
def test_a_tile_on_arm_stays_in_registers(tmp_path):
    """The largest loop is 24 multiply-adds, loads of what they need, and nothing else to speak of.

    Arm's own tests would need an Arm; this reads what would run there.
    """
    try:
        llvm.initialize_all_targets()
        llvm.Target.from_triple("aarch64-linux-gnu")
    except RuntimeError:
        pytest.skip("this LLVM cannot compile for Arm")
    lines = run(TILE_FOR_ARM, tmp_path, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    lines = lines.splitlines()
    labels = {line[:-1]: i for i, line in enumerate(lines) if re.fullmatch(r"\.L\w+:", line)}
    loops = []
    for i, line in enumerate(lines):
        jump = re.search(r"\bb\.\w+\s+(\.L\w+)", line)
        if jump and labels[jump[1]] < i:
            loops.append([each.strip() for each in lines[labels[jump[1]] + 1 : i]])
    largest = max(loops, key=lambda loop: sum(each.startswith("fmla") for each in loop))
    assert sum(each.startswith("fmla") for each in largest) == 24
    assert not any("sp" in each.split("\t")[-1] or each.startswith("st") for each in largest)
    assert len(largest) <= 24 + 10 + 4  # loads of 4 + 6, and counting
