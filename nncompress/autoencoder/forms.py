"""The form of the autoencoder that suits a machine."""

from collections.abc import Callable
from functools import partial

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.machine import Machine


def autoencoder_for(
    machine: Machine, full_precision: bool = False
) -> Callable[..., CompositionalAutoencoder]:
    """Returns a constructor of the form of the autoencoder that suits a machine.

    It is called like ``CompositionalAutoencoder``, and the caller moves the chain to the machine's
    device. On a GPU on which the kernels do not work, it is that plain chain.

    Args:
        machine: The machine to compute on.
        full_precision: Whether a GPU's products have all of float32's digits.
    """
    if machine.runtime is None:
        from nncompress.autoencoder.fused import FusedAutoencoder  # not needed on a GPU

        return partial(FusedAutoencoder, machine=machine)
    if not trains_by_kernels(machine):
        return CompositionalAutoencoder
    from nncompress.autoencoder.gpu import GpuAutoencoder

    return partial(GpuAutoencoder, runtime=machine.runtime, full_precision=full_precision)


def trains_by_kernels(machine: Machine) -> bool:
    """Tells whether a machine trains with the project's kernels; if not, it uses plain Chainer.

    A GPU's kernels are tried on the first call, once in a process; a warning says so if they do
    not work.
    """
    if machine.runtime is None:
        return True
    from nncompress.autoencoder.self_check import training_kernels_work

    return training_kernels_work(machine.runtime, machine.device)
