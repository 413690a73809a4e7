"""Compressing the weight matrices of a Chainer model while it trains.

A matrix A is replaced in the forward pass by ``alpha * A + (1 - alpha) * compressed(A)``, alpha
falling from 1 to 0. Names and rules are those of Google's graph_compression library.
"""

from nncompress.matrix.apply import (
    ApplyCompression,
    compress_chain,
    compression_table,
    finalize,
    get_apply_compression,
    load_finalized,
)
from nncompress.matrix.compression_op import (
    CompressionOp,
    CompressionOpInterface,
    InputOutputCompressionOp,
)
from nncompress.matrix.compressors.compositional import CompositionalMatrixCompressor
from nncompress.matrix.compressors.dictionary import DLMatrixCompressor
from nncompress.matrix.compressors.interface import MatrixCompressorInterface
from nncompress.matrix.compressors.kmeans import (
    KmeansMatrixCompressor,
    KmeansPruningMatrixCompressor,
)
from nncompress.matrix.compressors.low_rank import LowRankDecompMatrixCompressor
from nncompress.matrix.compressors.simhash import SimhashMatrixCompressor
from nncompress.matrix.hyperparameters import CompressionHParams, HParams
from nncompress.matrix.registry import register_compressor

MatrixCompressorInferface = MatrixCompressorInterface  # the original's spelling

__all__ = [
    "ApplyCompression",
    "CompositionalMatrixCompressor",
    "CompressionHParams",
    "CompressionOp",
    "CompressionOpInterface",
    "DLMatrixCompressor",
    "HParams",
    "InputOutputCompressionOp",
    "KmeansMatrixCompressor",
    "KmeansPruningMatrixCompressor",
    "LowRankDecompMatrixCompressor",
    "MatrixCompressorInferface",
    "MatrixCompressorInterface",
    "SimhashMatrixCompressor",
    "compress_chain",
    "compression_table",
    "finalize",
    "get_apply_compression",
    "load_finalized",
    "register_compressor",
]
