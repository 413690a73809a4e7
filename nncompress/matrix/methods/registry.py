"""Compressors by the number of their option."""

from dataclasses import dataclass

from nncompress.errors import InputError
from nncompress.matrix.methods.compositional import CompositionalMatrixCompressor
from nncompress.matrix.methods.dictionary import DLMatrixCompressor
from nncompress.matrix.methods.interface import MatrixCompressorInterface
from nncompress.matrix.methods.kmeans import KmeansMatrixCompressor
from nncompress.matrix.methods.low_rank import LowRankDecompMatrixCompressor
from nncompress.matrix.methods.pruned_kmeans import KmeansPruningMatrixCompressor
from nncompress.matrix.methods.simhash import SimhashMatrixCompressor
from nncompress.matrix.options import WITHOUT_ALPHA


@dataclass(frozen=True)
class Registered:
    """A compressor under a number.

    Attributes:
        name: The method's name in logs and tables.
        compressor: The compressor's class.
    """

    name: str
    compressor: type[MatrixCompressorInterface]


_COMPRESSORS = {
    1: Registered("low rank", LowRankDecompMatrixCompressor),
    2: Registered("simhash", SimhashMatrixCompressor),
    3: Registered("dictionary learning", DLMatrixCompressor),
    4: Registered("k-means", KmeansMatrixCompressor),
    5: Registered("compositional codes", CompositionalMatrixCompressor),
    8: Registered("pruning and k-means", KmeansPruningMatrixCompressor),
}


def register_compressor(
    number: int, name: str, compressor: type[MatrixCompressorInterface]
) -> None:
    """Makes a compressor of your own an option.

    Its op is mixed in by alpha as those of options 1 to 5 are.

    Args:
        number: Its ``compression_option``, one that is free.
        name: The method's name in logs and tables.
        compressor: The compressor's class.

    Raises:
        InputError: The number is taken, or the class is no compressor.
    """
    if number in _COMPRESSORS or number in WITHOUT_ALPHA:
        raise InputError(f"compression_option {number} is taken; wanted a number that is free")
    if not (isinstance(compressor, type) and issubclass(compressor, MatrixCompressorInterface)):
        raise InputError(f"{compressor!r} is no subclass of MatrixCompressorInterface")
    _COMPRESSORS[number] = Registered(name, compressor)


def check_option(number: int) -> None:
    """Refuses numbers that no compressor has.

    Raises:
        InputError: The number is unknown.
    """
    known = sorted({*_COMPRESSORS, *map(int, WITHOUT_ALPHA)})
    if number not in known:
        raise InputError(
            f"compression_option is {number}; wanted one of {', '.join(map(str, known))}"
        )


def registered(number: int) -> Registered:
    """Returns the compressor of a number that ``check_option`` takes, those without one aside."""
    return _COMPRESSORS[number]
