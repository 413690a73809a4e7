"""The device that computes: the CPU, or a GPU through CuPy."""

from nncompress.chainer_compat import chainer
from nncompress.errors import InputError

_LEAST_CAPABILITY = 70


def get_device(gpu: int) -> chainer.backend.Device:
    """Returns a Chainer device, made the current one.

    Args:
        gpu: Number of a GPU, or -1 for the CPU.

    Raises:
        InputError: CuPy does not work, or there is no such GPU.
    """
    if gpu < 0:
        return chainer.get_device("@numpy")
    cuda = chainer.backends.cuda
    if not cuda.available:
        raise InputError(
            f"GPU {gpu} was asked for, and CuPy cannot be used ({_reason(cuda)}); install "
            "requirements-gpu-cuda12.txt or requirements-gpu-cuda13.txt, or leave -g out"
        )
    try:
        count = cuda.cupy.cuda.runtime.getDeviceCount()
    except cuda.cupy.cuda.runtime.CUDARuntimeError as error:
        raise InputError(
            f"GPU {gpu} was asked for, and there is no GPU here ({error}); leave -g out to use "
            "the CPU"
        ) from None
    if gpu >= count:
        raise InputError(f"GPU {gpu} was asked for; this machine has {count}, numbered from 0")
    capability = int(cuda.cupy.cuda.Device(gpu).compute_capability)
    if capability < _LEAST_CAPABILITY:
        raise InputError(
            f"GPU {gpu} has compute capability {capability / 10}; wanted "
            f"{_LEAST_CAPABILITY / 10} (Volta, of 2017) or newer, or leave -g out to use the CPU"
        )
    device = chainer.get_device(f"@cupy:{gpu}")
    device.use()
    return device


def _reason(cuda) -> str:
    return str(cuda._resolution_error).strip().splitlines()[0]
