"""GPU kernels for the functions in this folder."""

from typing import TYPE_CHECKING, Any

import numpy as np

from nncompress.chainer_support.compatibility import chainer

if TYPE_CHECKING:
    from nncompress.gpu.factors import FactorKernels


def are_on_a_gpu(*variables: chainer.Variable) -> bool:
    """Tells whether variables are on a GPU and of the type that its kernels take, float32."""
    arrays = [chainer.as_array(one) for one in variables]
    cuda = chainer.backends.cuda
    return all(isinstance(one, cuda.ndarray) and one.dtype == np.float32 for one in arrays)


def kernels_of(array: Any) -> "FactorKernels":
    """Returns the kernels of the GPU that holds a CuPy array."""
    from nncompress.gpu.factors import kernels_on

    return kernels_on(array.device.id)
