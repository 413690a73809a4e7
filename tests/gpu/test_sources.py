"""The kernels' sources against NVIDIA's compiler, where it is."""

import shutil
import subprocess

import pytest

from nncompress.gpu.modules import MODULES, cuda_source

# Module, architecture, VECTOR and FULL_PRECISION, which training's kernels alone know.
TARGETS = [
    *(("step", f"sm_{number}", 4, full) for number in (75, 80, 90) for full in (0, 1)),
    *(("step", "sm_80", vector, 0) for vector in (2, 1)),
    *(
        (module, f"sm_{number}", 4, 0)
        for module in MODULES
        if module != "step"
        for number in (75, 80, 90)
    ),
]


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on the PATH")
@pytest.mark.parametrize(("module", "architecture", "vector", "full_precision"), TARGETS)
def test_sources_compile(tmp_path, module, architecture, vector, full_precision):
    source = tmp_path / f"{module}.cu"
    source.write_text(cuda_source(module))
    done = subprocess.run(
        [
            *("nvcc", "-ptx", "-std=c++17", f"-arch={architecture}", "-Werror", "all-warnings"),
            "-ftz=true",  # CuPy compiles so
            *(f"-DVECTOR={vector}", f"-DFULL_PRECISION={full_precision}", "-DSTATE_BITS=8"),
            *(str(source), "-o", str(tmp_path / "out.ptx")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ".visible .entry" in (tmp_path / "out.ptx").read_text()


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
@pytest.mark.parametrize("full_precision", [0, 1])
@pytest.mark.parametrize("module", MODULES)
def test_sources_compile_without_headers(module, full_precision, architecture):
    """As CuPy compiles them: with NVRTC, which has no headers of its own."""
    pytest.importorskip("cupy", exc_type=ImportError)
    from cupy.cuda import nvrtc

    source = cuda_source(module)
    program = nvrtc.createProgram(source, f"{module}.cu", (), ())
    options = [
        "-std=c++17",
        f"-arch={architecture}",
        "-ftz=true",
        "-DVECTOR=4",
        "-DSTATE_BITS=8",
        f"-DFULL_PRECISION={full_precision}",
    ]
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
