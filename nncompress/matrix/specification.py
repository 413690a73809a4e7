"""Checks and warnings for specifications and steps, before anything is compressed."""

import numbers
from collections.abc import Iterator, Mapping

from logzero import logger

from nncompress.errors import InputError
from nncompress.matrix.checks import check
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.hyperparameters import HParams
from nncompress.matrix.methods.registry import check_option
from nncompress.matrix.options import WITHOUT_ALPHA, CompressionOptions, UpdateOptions
from nncompress.matrix.pruning import pruning_warning
from nncompress.matrix.ramp import ramp_warning

_KMEANS = CompressionOptions.KMEANS_MATRIX_COMPRESSION
_PRUNING = CompressionOptions.KMEANS_AND_PRUNING_MATRIX_COMPRESSION
_WITH_ALPHA = tuple(option for option in CompressionOptions if option not in WITHOUT_ALPHA)

# The options that use each hyperparameter; those not listed are used by all.
_USED_BY: dict[str, tuple[CompressionOptions, ...]] = {
    **dict.fromkeys(("block_size",), (_KMEANS, _PRUNING)),
    **dict.fromkeys(
        (
            *("pruning_fraction", "begin_pruning_step", "end_pruning_step", "pruning_frequency"),
            *("initial_sparsity", "target_sparsity", "sparsity_function_begin_step"),
            *("sparsity_function_end_step", "sparsity_function_exponent"),
        ),
        (_PRUNING,),
    ),
    **dict.fromkeys(
        ("num_codebooks", "num_codewords"), (CompressionOptions.COMPOSITIONAL_MATRIX_COMPRESSION,)
    ),
    **dict.fromkeys(
        (
            *("compress_input", "input_compression_factor", "input_block_size"),
            *("compress_output", "output_compression_factor", "output_block_size"),
        ),
        (CompressionOptions.INPUTOUTPUT_COMPRESSION,),
    ),
    **dict.fromkeys(
        ("block_method", "block_compression_factor"), (CompressionOptions.BLOCK_COMPRESSION,)
    ),
    **dict.fromkeys(
        ("compression_factor", "num_bases"), (CompressionOptions.MIXED_BLOCK_COMPRESSION,)
    ),
    **dict.fromkeys(
        (
            *("rank", "alpha_decrement_value", "begin_compression_step", "end_compression_step"),
            *("compression_frequency",),
        ),
        _WITH_ALPHA,
    ),
}


def checked(spec: HParams) -> HParams:
    """Returns a checked copy of a specification; warns about settings that have no effect.

    Raises:
        InputError: A hyperparameter is missing or invalid, or the option is unknown.
    """
    defaults = CompressionOp.get_default_hparams().values()
    for name in defaults:
        if name not in spec:
            raise InputError(
                f"the hyperparameters have no {name}; wanted all those of "
                "CompressionOp.get_default_hparams()"
            )
    check(spec.values())
    check_option(spec.compression_option)
    for line in _remarks(spec, defaults):
        logger.warning("%s", line)
    return spec.copy()


def _remarks(spec: HParams, defaults: Mapping) -> Iterator[str]:
    """Yields warnings about settings without effect, and ramps and schedules that do not end."""
    option = spec.compression_option
    if spec.use_tpu:
        yield "use_tpu has no effect: Chainer does not run on TPUs"
    set_by_user = [name for name in _USED_BY if spec.get(name) != defaults[name]]
    if option in [*CompressionOptions][1:]:  # a registered compressor may use any of them
        idle = [name for name in set_by_user if option not in _USED_BY[name]]
        if idle:
            yield f"no effect with compression_option {option}: {', '.join(idle)}"
    if option == CompressionOptions.BLOCK_COMPRESSION and spec.block_method == "mask":
        yield (
            "block_method mask computes the same as loop: blocks are stored without the zeros of "
            "the original's mask"
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
            "with run_update_interval_check 0, calls of run_update_step without a step count as "
            f"step 1, before begin_compression_step {spec.begin_compression_step}: they change "
            "nothing"
        )
    lines = (ramp_warning(spec), pruning_warning(spec) if option == _PRUNING else None)
    yield from filter(None, lines)


def checked_step(global_step: object) -> object:
    """Returns ``global_step`` if it is None, an integer or a function.

    Raises:
        InputError: It is something else.
    """
    if global_step is not None and not callable(global_step):
        check_step(global_step, "global_step", "an integer, or a function that returns one")
    return global_step


def check_step(step: object, name: str = "the step", wanted: str = "an integer") -> None:
    """Refuses a step that is not an integer.

    Args:
        step: The step.
        name: The step's name in the message.
        wanted: The expected kind of value, for the message.

    Raises:
        InputError: It is not an integer.
    """
    if not isinstance(step, numbers.Integral):
        raise InputError(f"{name} is {step!r}; wanted {wanted}")
