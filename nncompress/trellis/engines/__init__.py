"""Engines of the residual stage: compiled kernels on the CPU, or CUDA kernels on a GPU."""

from typing import TYPE_CHECKING

from nncompress.machine import Machine
from nncompress.trellis.engines.interface import Engine

if TYPE_CHECKING:
    from nncompress.gpu.runtime import Runtime


def make_engine(machine: Machine) -> Engine:
    """Returns the engine of a machine; neither engine imports what the other needs.

    A GPU's kernels are tried first, once in a process. If they do not work, a warning says so and
    the CPU's engine is returned.
    """
    if machine.runtime is None or not _kernels_work(machine.runtime):
        from nncompress.trellis.engines.cpu import CpuEngine

        return CpuEngine(machine.team)
    from nncompress.trellis.engines.gpu import GpuEngine

    return GpuEngine(machine.runtime)


def _kernels_work(runtime: "Runtime") -> bool:
    from nncompress.trellis.engines.self_check import residual_kernels_work

    return residual_kernels_work(runtime)
