"""Engines that refinement computes with: compiled kernels on the CPU, or CUDA's on a GPU."""

from nncompress.machine import Machine
from nncompress.refinement.engines.interface import Engine


def make_engine(machine: Machine) -> Engine:
    """Returns the engine of a machine; neither imports what the other needs."""
    if machine.runtime is None:
        from nncompress.refinement.engines.cpu import CpuEngine

        return CpuEngine(machine.team)
    from nncompress.refinement.engines.gpu import GpuEngine

    return GpuEngine(machine.runtime)
