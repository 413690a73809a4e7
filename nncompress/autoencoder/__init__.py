"""The autoencoder with a Gumbel-softmax bottleneck, and reading codes and codebook out of it."""

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
    if not machine.trains_by_kernels:
        return CompositionalAutoencoder
    from nncompress.autoencoder.gpu import GpuAutoencoder

    return partial(GpuAutoencoder, runtime=machine.runtime, full_precision=full_precision)
