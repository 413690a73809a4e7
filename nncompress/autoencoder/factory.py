"""The form of the autoencoder that suits a device."""

from collections.abc import Callable
from functools import partial

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_compat import chainer


def autoencoder_for(
    device: chainer.backend.Device, threads: int | None = None, full_precision: bool = False
) -> Callable[..., CompositionalAutoencoder]:
    """Returns what makes an autoencoder: called as ``CompositionalAutoencoder`` is.

    Args:
        device: Where it is to compute. The caller moves it there.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
        full_precision: Whether a GPU's products have all of float32's digits.
    """
    if device.xp is np:
        from nncompress.autoencoder.fused import FusedAutoencoder  # a GPU does without Numba

        return partial(FusedAutoencoder, threads=threads)
    from nncompress.autoencoder.gpu import GpuAutoencoder
    from nncompress.gpu.runtime import Runtime

    runtime = Runtime(device.device.id)
    return partial(GpuAutoencoder, runtime=runtime, full_precision=full_precision)
