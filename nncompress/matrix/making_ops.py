"""Making compression ops from a specification."""

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.block_op import BlockCompressionOp
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.hyperparameters import HParams
from nncompress.matrix.input_output_op import InputOutputCompressionOp
from nncompress.matrix.methods.registry import registered
from nncompress.matrix.mixed_block_op import MixedBlockCompressionOp
from nncompress.matrix.op_interface import CompressionOpInterface
from nncompress.matrix.options import CompressionOptions
from nncompress.matrix.pruning_op import PruningCompressionOp

_FROM_SCRATCH = {
    CompressionOptions.INPUTOUTPUT_COMPRESSION: InputOutputCompressionOp,
    CompressionOptions.BLOCK_COMPRESSION: BlockCompressionOp,
    CompressionOptions.MIXED_BLOCK_COMPRESSION: MixedBlockCompressionOp,
}
_PRUNING = CompressionOptions.KMEANS_AND_PRUNING_MATRIX_COMPRESSION


def make_op(spec: HParams, a_matrix: chainer.Parameter, scope: str) -> CompressionOpInterface:
    """Returns the op that a specification asks for.

    Args:
        spec: Hyperparameters accepted by ``checked``, with any option but 0.
        a_matrix: The parameter to compress.
        scope: The matrix's name in logs and tables.

    Raises:
        InputError: The matrix's shape or type does not fit.
    """
    option = spec.compression_option
    if option in _FROM_SCRATCH:
        return _FROM_SCRATCH[option](spec, a_matrix, scope)
    kind = PruningCompressionOp if option == _PRUNING else CompressionOp
    return kind(spec, a_matrix, registered(option).compressor(spec), scope)
