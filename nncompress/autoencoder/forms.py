"""The form of the autoencoder that suits a machine."""

from collections.abc import Callable
from functools import partial

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.machine import Machine


def autoencoder_for(
    machine: Machine, full_precision: bool = False
) -> Callable[..., CompositionalAutoencoder]:
    """Returns a maker of the form of the autoencoder that suits a machine.

    It is called as ``CompositionalAutoencoder`` is, and the caller moves what it makes to the
    machine's device. On a GPU that the kernels do not work on it is that plain chain.

    Args:
        machine: Where to compute.
        full_precision: Whether a GPU's products have all of float32's digits.
    """
    if machine.runtime is None:
        from nncompress.autoencoder.fused import FusedAutoencoder  # a GPU does without Numba

        return partial(FusedAutoencoder, machine=machine)
    if not trains_by_kernels(machine):
        return CompositionalAutoencoder
    from nncompress.autoencoder.gpu import GpuAutoencoder

    return partial(GpuAutoencoder, runtime=machine.runtime, full_precision=full_precision)


def trains_by_kernels(machine: Machine) -> bool:
    """Tells whether a machine trains by the project's kernels; else it does by plain Chainer.

    A GPU's are tried when this is first asked, once in a process, and a warning says where they
    do not work.
    """
    if machine.runtime is None:
        return True
    from nncompress.autoencoder.self_check import training_kernels_work

    return training_kernels_work(machine.runtime, machine.device)
