"""Compressing the weight matrices of a Chainer model while it trains.

A matrix A is replaced in the forward pass by ``alpha * A + (1 - alpha) * compressed(A)``, alpha
falling from 1 to 0. Names and rules are those of Google's graph_compression library.
"""

from nncompress.matrix.apply import ApplyCompression, get_apply_compression
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.final_models import compression_table, finalize, load_finalized
from nncompress.matrix.hyperparameters import CompressionHParams, HParams
from nncompress.matrix.input_output_op import InputOutputCompressionOp
from nncompress.matrix.methods.compositional import CompositionalMatrixCompressor
from nncompress.matrix.methods.dictionary import DLMatrixCompressor
from nncompress.matrix.methods.interface import MatrixCompressorInterface
from nncompress.matrix.methods.kmeans import (
    KmeansMatrixCompressor,
    KmeansPruningMatrixCompressor,
)
from nncompress.matrix.methods.low_rank import LowRankDecompMatrixCompressor
from nncompress.matrix.methods.registry import register_compressor
from nncompress.matrix.methods.simhash import SimhashMatrixCompressor
from nncompress.matrix.models import compress_chain
from nncompress.matrix.op_interface import CompressionOpInterface

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
