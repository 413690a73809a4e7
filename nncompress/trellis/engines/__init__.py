"""Engines of the residual stage: compiled kernels on the CPU, or CUDA's on a GPU."""

from nncompress.machine import Machine
from nncompress.trellis.engines.interface import Engine


def make_engine(machine: Machine) -> Engine:
    """Returns the engine of a machine."""
    from nncompress.trellis.engines.cpu import CpuEngine

    return CpuEngine(machine.team)
