"""The device that computes: the CPU, or a GPU through CuPy."""

import numpy as np

from nncompress.chainer_compat import chainer
from nncompress.errors import InputError
from nncompress.gpu.runtime import first_reason, open_gpu


def get_device(gpu: int) -> chainer.backend.Device:
    """Returns a Chainer device, made the current one.

    Args:
        gpu: Number of a GPU, or -1 for the CPU.

    Raises:
        InputError: CuPy does not work, there is no such GPU, or it is too old.
    """
    if gpu < 0:
        return chainer.get_device("@numpy")
    open_gpu(gpu)
    cuda = chainer.backends.cuda
    if not cuda.available:
        raise InputError(
            f"GPU {gpu} was asked for, and Chainer cannot use CuPy "
            f"({first_reason(cuda._resolution_error)}); use the CPU (-g -1; in Python, -1)"
        )
    device = chainer.get_device(f"@cupy:{gpu}")
    device.use()
    return device


def refuse_gpu_settings(
    device: chainer.backend.Device, full_precision: bool, matrix_dtype: str
) -> None:
    """Refuses on a CPU what only a GPU does.

    Args:
        device: The device that computes.
        full_precision: Whether the user asks for all of float32's digits.
        matrix_dtype: The type of the matrix that the user asks for.

    Raises:
        InputError: The device is the CPU, and something is asked for.
    """
    if device.xp is np and (full_precision or matrix_dtype != "float32"):
        raise InputError(
            "full precision (--fp32) and the matrix's type (--matrix-dtype) are chosen for a GPU; "
            "leave them out, or name a GPU"
        )
