"""Compressors by option number."""

import numbers
from dataclasses import dataclass

from nncompress.errors import InputError
from nncompress.matrix.methods.compositional import CompositionalMatrixCompressor
from nncompress.matrix.methods.dictionary import DLMatrixCompressor
from nncompress.matrix.methods.interface import MatrixCompressorInterface
from nncompress.matrix.methods.kmeans import KmeansMatrixCompressor
from nncompress.matrix.methods.low_rank import LowRankDecompMatrixCompressor
from nncompress.matrix.methods.pruned_kmeans import KmeansPruningMatrixCompressor
from nncompress.matrix.methods.simhash import SimhashMatrixCompressor
from nncompress.matrix.options import WITHOUT_ALPHA, CompressionOptions


@dataclass(frozen=True)
class Registered:
    """A compressor registered under a number.

    Attributes:
        name: The method's name in logs and tables.
        compressor: The compressor's class.
    """

    name: str
    compressor: type[MatrixCompressorInterface]


_COMPRESSORS: dict[int, Registered] = {
    CompressionOptions.LOWRANK_MATRIX_COMPRESSION: Registered(
        "low rank", LowRankDecompMatrixCompressor
    ),
    CompressionOptions.SIMHASH_MATRIX_COMPRESSION: Registered("simhash", SimhashMatrixCompressor),
    CompressionOptions.DL_MATRIX_COMPRESSION: Registered(
        "dictionary learning", DLMatrixCompressor
    ),
    CompressionOptions.KMEANS_MATRIX_COMPRESSION: Registered("k-means", KmeansMatrixCompressor),
    CompressionOptions.COMPOSITIONAL_MATRIX_COMPRESSION: Registered(
        "compositional codes", CompositionalMatrixCompressor
    ),
    CompressionOptions.KMEANS_AND_PRUNING_MATRIX_COMPRESSION: Registered(
        "pruning and k-means", KmeansPruningMatrixCompressor
    ),
}


def register_compressor(
    number: int, name: str, compressor: type[MatrixCompressorInterface]
) -> None:
    """Registers a custom compressor as an option.

    Its op is mixed in by alpha, like those of options 1 to 5.

    Args:
        number: Its ``compression_option``, which must not be taken.
        name: The method's name in logs and tables.
        compressor: The compressor's class.

    Raises:
        InputError: The number is not an integer or is taken, the name is not a string, or the
            class is not a compressor.
    """
    if not isinstance(number, numbers.Integral) or isinstance(number, bool):
        raise InputError(f"the number of a compressor is {number!r}; wanted an integer")
    if not isinstance(name, str):
        raise InputError(f"the name of compressor {number} is {name!r}; wanted a string")
    if number in _COMPRESSORS or number in WITHOUT_ALPHA:
        raise InputError(f"compression_option {number} is taken; choose another number")
    if not (isinstance(compressor, type) and issubclass(compressor, MatrixCompressorInterface)):
        raise InputError(f"{compressor!r} is not a subclass of MatrixCompressorInterface")
    _COMPRESSORS[int(number)] = Registered(name, compressor)


def check_option(number: int) -> None:
    """Refuses numbers of no known compressor.

    Raises:
        InputError: The number is unknown.
    """
    known = sorted({*_COMPRESSORS, *WITHOUT_ALPHA})
    if number not in known:
        raise InputError(
            f"compression_option is {number}; wanted one of {', '.join(map(str, known))}"
        )


def registered(number: int) -> Registered:
    """Returns the compressor of a number accepted by ``check_option`` and not in WITHOUT_ALPHA."""
    return _COMPRESSORS[number]
