"""Settings with which each option makes the language model four times smaller."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from command_line import hparams_of

from nncompress.matrix import CompressionHParams

UNCOMPRESSED = "uncompressed"


@dataclass(frozen=True)
class Option:
    """An option of compression.

    Attributes:
        hparams: Hyperparameters.
        parts: Changes to them, by the pattern of the layers that they apply to; layers that no
            pattern matches are not compressed.
        factor_rate: See ``training.Settings``.
    """

    hparams: str
    parts: Mapping[str, str] = field(default_factory=lambda: {"*": ""})
    factor_rate: float = 1.0

    def compression(self) -> dict[str, CompressionHParams]:
        """Returns the hyperparameters of each part."""
        return {match: hparams_of(self.hparams, changes) for match, changes in self.parts.items()}


def _ramp(begin: int, frequency: int = 4) -> str:
    """Returns the hyperparameters for lowering alpha to 0 in 50 updates."""
    return (
        f"begin_compression_step={begin},compression_frequency={frequency},"
        "alpha_decrement_value=0.02"
    )


_TABLE, _UPWARD, _LATERAL = "embed", "layers/*/upward", "layers/*/lateral"
_LSTM = "layers/*"
# Factors that can learn everything they represent get half of the steps to themselves. Codes that
# are found only once are found late: the better the matrix is by then, the better they are.
# Options that lose hardly anything come at the very end.
DEFAULT_HPARAMS = f"name=language_model,{_ramp(800)},compression_option=1,rank=460"
OPTIONS = {
    UNCOMPRESSED: Option("compression_option=0"),
    "low rank": Option(
        f"compression_option=1,{_ramp(800)}", {_TABLE: "rank=437", _LSTM: "rank=480"}
    ),
    "simhash": Option(
        f"compression_option=2,{_ramp(1900, 1)}",
        {_TABLE: "rank=1", _LSTM: "rank=2"},
        factor_rate=0.1,
    ),
    "dictionary learning": Option(
        f"compression_option=3,{_ramp(1200)}",
        {_TABLE: "rank=1100", _LSTM: "rank=680"},
        factor_rate=0.2,
    ),
    "k-means": Option(f"compression_option=4,rank=128,{_ramp(1940, 1)}", factor_rate=0.01),
    "compositional codes": Option(
        f"compression_option=5,num_codewords=4,{_ramp(1500)}",
        {_TABLE: "num_codebooks=160", _LSTM: "num_codebooks=60"},
        factor_rate=0.05,
    ),
    "pruning and k-means": Option(
        "compression_option=8,rank=256,target_sparsity=0.3,begin_pruning_step=1000,"
        "pruning_frequency=10,sparsity_function_begin_step=1000,sparsity_function_end_step=1600,"
        f"{_ramp(1940, 1)}",
        factor_rate=0.01,
    ),
    "input-output": Option(
        "compression_option=9",
        {
            _TABLE: "input_compression_factor=4,input_block_size=192",
            _LSTM: "input_compression_factor=6,input_block_size=96",
        },
    ),
    # A word uses an eighth of a vector's dimensions, and an eighth of the units determine its
    # logit. The matrix between them is not compressed, so that a word reaches all units.
    "block diagonal": Option(
        "compression_option=10,block_compression_factor=8", {_TABLE: "", _LATERAL: ""}
    ),
    "mixed blocks": Option(
        "compression_option=12,compression_factor=4",
        {_TABLE: "", _UPWARD: "", _LATERAL: "compression_factor=6"},
    ),
}
