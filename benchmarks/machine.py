"""A line about the machine that a benchmark ran on."""

import os
import platform
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

_VECTORS = {64: "AVX-512", 32: "AVX2", 16: "128-bit"}


def describe() -> str:
    """Returns the processor, cores, vector width of kernels and BLAS, and versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    processor = fields.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in fields:
        processor += f" (family {fields['cpu family']}, model {fields['model']})"
    cores = len(os.sched_getaffinity(0))
    has = "with" if "avx512f" in fields.get("flags", "").split() else "without"
    return (
        f"{processor}, {has} AVX-512, {cores} cores; {_kernels()}; Python "
        f"{platform.python_version()}, NumPy {np.__version__}"
    )


def _kernels() -> str:
    from nncompress.cpu.target import VECTOR_BYTES

    blas = {info.get("architecture", "?") for info in threadpool_info() if "blas" in str(info)}
    return f"kernels for {_VECTORS[VECTOR_BYTES]}, BLAS for {', '.join(sorted(blas))}"
