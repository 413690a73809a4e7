"""Serial BLAS products that compiled kernels call by address: SciPy's ``cython_blas``."""

import ctypes

import numpy as np
from scipy.linalg import cython_blas


def gemm_address(dtype: np.dtype) -> int:
    """Returns the address of Fortran's ``sgemm`` or ``dgemm``.

    Args:
        dtype: float32 or float64.

    Raises:
        ImportError: This SciPy's BLAS takes other integers than 32-bit ones.
    """
    name = {"f": "sgemm", "d": "dgemm"}[np.dtype(dtype).char]
    capsule = cython_blas.__pyx_capi__[name]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = (
        ctypes.c_void_p,
        [ctypes.py_object, ctypes.c_char_p],
    )
    signature = get_name(capsule)
    if signature.count(b"int *") != 6:
        raise ImportError(
            f"SciPy's {name} takes {signature.decode()}; wanted 32-bit integers, as in SciPy 1.17"
        )
    return get_pointer(capsule, signature)
