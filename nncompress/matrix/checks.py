"""Checks that hyperparameters fit together, and the list of those that are not supported."""

from collections.abc import Mapping

from nncompress.errors import InputError
from nncompress.matrix.options import WITHOUT_ALPHA, CompressionOptions, UpdateOptions

# The original's hyperparameters that have no meaning here, and why.
REFUSED = {
    "nbins": "thresholds are exact, without a histogram",
    "threshold_decay": "thresholds are exact and not smoothed",
    "block_height": "pruning removes whole blocks of block_size entries",
    "block_width": "pruning removes whole blocks of block_size entries",
    "block_pooling_function": "a block is pruned by the mean of its magnitudes",
    "block_dims_map": "give each matrix a spec of its own",
    "weight_sparsity_map": "give each matrix a spec of its own",
    "prune_option": "entries are pruned by magnitude",
    "gradient_decay_rate": "entries are pruned by magnitude, without gradients",
    "group_pruning": "each matrix is pruned on its own",
    "group_sparsity_map": "give each matrix a spec of its own",
    "group_block_dims_map": "give each matrix a spec of its own",
    "intra_block_sparsity": "pruning removes whole blocks of block_size entries",
    "do_transpose": "a matrix is compressed as it is; transpose it first",
    "add_summary": "the trainer's extension reports alpha, and report() the rest",
    "use_collection": "there is no graph with collections",
}

_AT_LEAST_ONE = (
    *("compression_frequency", "rank", "block_size", "num_codewords", "input_block_size"),
    *("output_block_size", "input_compression_factor", "output_compression_factor"),
    *("block_compression_factor", "compression_factor", "num_bases", "pruning_frequency"),
)
_AT_LEAST_ZERO = ("begin_compression_step", "begin_pruning_step", "sparsity_function_begin_step")
_SHARES = ("pruning_fraction", "initial_sparsity", "target_sparsity")
_ABOVE_ZERO = ("alpha_decrement_value", "sparsity_function_exponent")
_INTERVALS = (
    ("begin_compression_step", "end_compression_step", -1),
    ("begin_pruning_step", "end_pruning_step", -1),
    ("sparsity_function_begin_step", "sparsity_function_end_step", None),
)


def check(values: Mapping[str, bool | int | float | str]) -> None:
    """Refuses values that do not fit together.

    Args:
        values: Hyperparameters by name; missing ones are not checked.

    Raises:
        InputError: The message names the hyperparameter.
    """
    _check_ranges(values)
    for begin, end, no_end in _INTERVALS:
        if begin in values and end in values:
            _check_interval(values, begin, end, no_end)
    option, update_option = values.get("compression_option"), values.get("update_option", 0)
    is_kmeans = option == CompressionOptions.KMEANS_MATRIX_COMPRESSION
    if is_kmeans and values.get("pruning_fraction"):
        raise InputError(
            f"pruning_fraction is {values['pruning_fraction']} with compression_option 4; wanted "
            "option 8, which prunes before k-means"
        )
    if update_option not in list(UpdateOptions):
        raise InputError(
            f"update_option is {update_option}; wanted 0, for updates by the trainer's extension, "
            "1, for your own calls of run_update_step, 2, for both, or 3, for none"
        )
    if update_option == UpdateOptions.NO_UPDATE and option not in (None, *WITHOUT_ALPHA):
        raise InputError(
            f"update_option is 3, for no update, with compression_option {option}, whose alpha "
            "would never fall; wanted 0, 1 or 2"
        )
    if values.get("block_method", "loop") not in ("mask", "loop"):
        raise InputError(f"block_method is {values['block_method']!r}; wanted mask or loop")


def _check_ranges(values: Mapping) -> None:
    for name in _AT_LEAST_ONE:
        if values.get(name, 1) < 1:
            raise InputError(f"{name} is {values[name]}; wanted at least 1")
    for name in _AT_LEAST_ZERO:
        if values.get(name, 0) < 0:
            raise InputError(f"{name} is {values[name]}; wanted 0 or more")
    for name in _SHARES:
        if not 0 <= values.get(name, 0.0) < 1:
            raise InputError(f"{name} is {values[name]}; wanted at least 0 and below 1")
    for name in _ABOVE_ZERO:
        if not values.get(name, 1.0) > 0:
            raise InputError(f"{name} is {values[name]}; wanted more than 0")
    if values.get("num_codebooks", 0) < 0:
        raise InputError(f"num_codebooks is {values['num_codebooks']}; wanted 0 or more")
    if values.get("run_update_interval_check", 1) not in (0, 1):
        given = values["run_update_interval_check"]
        raise InputError(f"run_update_interval_check is {given}; wanted 0 or 1")
    if not 2 <= values.get("num_codewords", 16) <= 65_536:
        raise InputError(f"num_codewords is {values['num_codewords']}; wanted 2 to 65,536")


def _check_interval(values: Mapping, begin: str, end: str, no_end: int | None) -> None:
    if values[end] != no_end and values[begin] >= values[end]:
        none = "" if no_end is None else f", or {end} {no_end} for no end"
        raise InputError(
            f"{begin} is {values[begin]} and {end} is {values[end]}; wanted the beginning before "
            f"the end{none}"
        )
