"""Rows of tensors in safetensors files, whole or in parts."""

from collections.abc import Callable

import numpy as np

from nncompress.formats.small_floats import bfloat16, float8_e4m3, float8_e5m2
from nncompress.sources.hugging_face import TensorPart
from nncompress.sources.places import LocalPlace
from nncompress.sources.row_checks import check_shape
from nncompress.sources.stored.bytes_of_file import BytesOfFile

# The types in which elements are stored, and the functions that turn them into numbers.
_TYPES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray] | None]] = {
    "F16": ("<f2", None),
    "F32": ("<f4", None),
    "F64": ("<f8", None),
    "BF16": ("<u2", bfloat16),
    "F8_E4M3": ("|u1", float8_e4m3),
    "F8_E5M2": ("|u1", float8_e5m2),
}


def tensor_rows(part: TensorPart) -> BytesOfFile:
    """Opens the rows of a tensor.

    Args:
        part: The tensor.

    Raises:
        InputError: It is not a matrix.
    """
    code, decode = _TYPES[part.tensor.dtype]
    check_shape(part.title, part.tensor.shape, np.dtype(np.float32))
    num_rows, dim = part.tensor.shape
    return BytesOfFile(
        part.place, part.title, part.tensor.first, (num_rows, dim), np.dtype(code), decode,
        remote=not isinstance(part.place, LocalPlace), part=part.name,
    )  # fmt: skip
