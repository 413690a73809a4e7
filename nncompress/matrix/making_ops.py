"""From a specification to a compression op."""

import numbers
from collections.abc import Iterator, Mapping

from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.block_op import BlockCompressionOp
from nncompress.matrix.checks import check
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.hyperparameters import HParams
from nncompress.matrix.input_output_op import InputOutputCompressionOp
from nncompress.matrix.methods.registry import check_option, registered
from nncompress.matrix.mixed_block_op import MixedBlockCompressionOp
from nncompress.matrix.op_interface import CompressionOpInterface
from nncompress.matrix.options import WITHOUT_ALPHA, CompressionOptions, UpdateOptions
from nncompress.matrix.pruning import pruning_warning
from nncompress.matrix.pruning_op import PruningCompressionOp
from nncompress.matrix.ramp import ramp_warning

_FROM_SCRATCH = {
    CompressionOptions.INPUTOUTPUT_COMPRESSION: InputOutputCompressionOp,
    CompressionOptions.BLOCK_COMPRESSION: BlockCompressionOp,
    CompressionOptions.MIXED_BLOCK_COMPRESSION: MixedBlockCompressionOp,
}
_PRUNING = CompressionOptions.KMEANS_AND_PRUNING_MATRIX_COMPRESSION

# Which options use a hyperparameter; all use those that are not here.
_USED_BY = {
    **dict.fromkeys(("block_size",), (4, 8)),
    **dict.fromkeys(
        (
            *("pruning_fraction", "begin_pruning_step", "end_pruning_step", "pruning_frequency"),
            *("initial_sparsity", "target_sparsity", "sparsity_function_begin_step"),
            *("sparsity_function_end_step", "sparsity_function_exponent"),
        ),
        (8,),
    ),
    **dict.fromkeys(("num_codebooks", "num_codewords"), (5,)),
    **dict.fromkeys(
        (
            *("compress_input", "input_compression_factor", "input_block_size"),
            *("compress_output", "output_compression_factor", "output_block_size"),
        ),
        (9,),
    ),
    **dict.fromkeys(("block_method", "block_compression_factor"), (10,)),
    **dict.fromkeys(("compression_factor", "num_bases"), (12,)),
    **dict.fromkeys(
        (
            *("rank", "alpha_decrement_value", "begin_compression_step", "end_compression_step"),
            *("compression_frequency",),
        ),
        (1, 2, 3, 4, 5, 8),
    ),
}


def checked(spec: HParams) -> HParams:
    """Returns a copy of a specification that can be applied; says what of it has no effect.

    Raises:
        InputError: A hyperparameter is missing or does not fit, or the option is unknown.
    """
    defaults = CompressionOp.get_default_hparams().values()
    for name in defaults:
        if name not in spec:
            raise InputError(
                f"the hyperparameters have no {name}; wanted all of "
                "CompressionOp.get_default_hparams()"
            )
    check(spec.values())
    check_option(spec.compression_option)
    for line in _remarks(spec, defaults):
        logger.warning("%s", line)
    return spec.copy()


def _remarks(spec: HParams, defaults: Mapping) -> Iterator[str]:
    """Yields lines on what has no effect, and on ramps and schedules that do not end."""
    option = spec.compression_option
    if spec.use_tpu:
        yield "use_tpu has no effect: there is no TPU that Chainer runs on"
    set_by_user = [name for name in _USED_BY if spec.get(name) != defaults[name]]
    if option in [*CompressionOptions][1:]:  # what other options use is known of ours alone
        idle = [name for name in set_by_user if option not in _USED_BY[name]]
        if idle:
            yield f"without effect with compression_option {option}: {', '.join(idle)}"
    if option == CompressionOptions.BLOCK_COMPRESSION and spec.block_method == "mask":
        yield (
            "block_method mask computes the same as loop: blocks are stored without the zeros "
            "that the original's mask has"
        )
    if option in WITHOUT_ALPHA:
        return
    if (
        spec.update_option == UpdateOptions.PYTHON_UPDATE
        and "compression_frequency" in set_by_user
    ):
        yield (
            "compression_frequency has no effect with update_option 1: each call of "
            "run_update_step lowers alpha"
        )
    if spec.run_update_interval_check == 0 and spec.begin_compression_step > 1:
        yield (
            "with run_update_interval_check 0 calls of run_update_step without a step are those "
            f"of step 1, before begin_compression_step {spec.begin_compression_step}: they change "
            "nothing"
        )
    lines = (ramp_warning(spec), pruning_warning(spec) if option == _PRUNING else None)
    yield from filter(None, lines)


def checked_step(global_step: object) -> object:
    """Returns what tells the step of training, if it is None, an integer or a function.

    Raises:
        InputError: It is something else.
    """
    if global_step is None or callable(global_step) or isinstance(global_step, numbers.Integral):
        return global_step
    raise InputError(
        f"global_step is {global_step!r}; wanted an integer, or a function that returns one"
    )


def make_op(spec: HParams, a_matrix: chainer.Parameter, scope: str) -> CompressionOpInterface:
    """Returns the op that a specification asks for.

    Args:
        spec: Hyperparameters that ``checked`` took, of any option but 0.
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
