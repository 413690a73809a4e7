"""A whole run on a GPU, with Numba not to be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.conftest import HAS_GPU, needs_compiler

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
gpu = "0"
"""
# An emulated GPU in the CPU's place.
EMULATED = """
from nncompress.machine import Machine
from tests.cuda_on_cpu.runtime import EmulatedRuntime

original, runtime = Machine.__init__, EmulatedRuntime()

def init(self, gpu=-1, threads=None):
    original(self, -1, threads)
    self.runtime = runtime

Machine.__init__ = init
gpu = "-1"
"""
RUN = """
import infer_comp, train_comp
run = train_comp.main(["-g", gpu, "--input-matrix", MATRIX, "-M", "3", "-K", "4", "-o", OUT,
                       "-b", "40", "-e", "2", "--limit", "80"])
print(infer_comp.main(["-g", gpu, "--model", str(run), "--time-budget", "1"]) > 0)
"""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("emulated", marks=needs_compiler),
        pytest.param("gpu", marks=pytest.mark.skipif(not HAS_GPU, reason="there is no GPU here")),
    ],
)
def test_training_and_refinement_need_no_numba(kind, matrix_path, tmp_path):
    script = WITHOUT_NUMBA + (EMULATED if kind == "emulated" else "")
    script += RUN.replace("MATRIX", repr(str(matrix_path))).replace("OUT", repr(str(tmp_path)))
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "True"
