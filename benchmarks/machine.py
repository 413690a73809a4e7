"""A line about the machine that a benchmark ran on."""

import os
import platform
from pathlib import Path

import numpy as np


def describe() -> str:
    """Returns processor, cores, and the versions of Python and NumPy."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    processor = models[0] if models else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0))
    return (
        f"{processor}, {cores} cores; Python {platform.python_version()}, NumPy {np.__version__}"
    )
