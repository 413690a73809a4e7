"""The form of the autoencoder that suits a device."""

from collections.abc import Callable
from functools import partial

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_compat import chainer


def autoencoder_for(
    device: chainer.backend.Device, threads: int | None = None
) -> Callable[..., CompositionalAutoencoder]:
    """Returns what makes an autoencoder: called as ``CompositionalAutoencoder`` is.

    Args:
        device: Where it is to compute. The caller moves it there.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
    """
    if device.xp is not np:
        return CompositionalAutoencoder
    from nncompress.autoencoder.fused import FusedAutoencoder  # a GPU does without Numba

    return partial(FusedAutoencoder, threads=threads)
