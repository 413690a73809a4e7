"""Compressing the weight matrices of a Chainer model while it trains.

A matrix A is replaced in the forward pass by ``alpha * A + (1 - alpha) * compressed(A)``, alpha
falling from 1 to 0. Names and rules are those of Google's graph_compression library.
"""

from nncompress.missing import brought_by

with brought_by("matrix"):
    import logzero  # noqa: F401  # whose logger this room's modules write to

from nncompress.matrix.apply import ApplyCompression, get_apply_compression
from nncompress.matrix.block_op import BlockCompressionOp
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.final_models import finalize, load_finalized
from nncompress.matrix.hyperparameters import CompressionHParams, HParams
from nncompress.matrix.input_output_op import InputOutputCompressionOp
from nncompress.matrix.methods.compositional import CompositionalMatrixCompressor
from nncompress.matrix.methods.dictionary import DLMatrixCompressor
from nncompress.matrix.methods.interface import MatrixCompressorInterface
from nncompress.matrix.methods.kmeans import KmeansMatrixCompressor
from nncompress.matrix.methods.low_rank import LowRankDecompMatrixCompressor
from nncompress.matrix.methods.pruned_kmeans import KmeansPruningMatrixCompressor
from nncompress.matrix.methods.registry import register_compressor
from nncompress.matrix.methods.simhash import SimhashMatrixCompressor
from nncompress.matrix.mixed_block_op import MixedBlockCompressionOp
from nncompress.matrix.models import compress_chain
from nncompress.matrix.op_interface import CompressionOpInterface
from nncompress.matrix.options import CompressionOptions, UpdateOptions
from nncompress.matrix.pruning_op import PruningCompressionOp
from nncompress.matrix.report import CompressedLayer, CompressionTable

MatrixCompressorInferface = MatrixCompressorInterface  # the original's spelling

__all__ = [
    "ApplyCompression",
    "BlockCompressionOp",
    "CompositionalMatrixCompressor",
    "CompressedLayer",
    "CompressionHParams",
    "CompressionOp",
    "CompressionOpInterface",
    "CompressionOptions",
    "CompressionTable",
    "DLMatrixCompressor",
    "HParams",
    "InputOutputCompressionOp",
    "KmeansMatrixCompressor",
    "KmeansPruningMatrixCompressor",
    "LowRankDecompMatrixCompressor",
    "MatrixCompressorInferface",
    "MatrixCompressorInterface",
    "MixedBlockCompressionOp",
    "PruningCompressionOp",
    "SimhashMatrixCompressor",
    "UpdateOptions",
    "compress_chain",
    "finalize",
    "get_apply_compression",
    "load_finalized",
    "register_compressor",
]
