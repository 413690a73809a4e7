"""Settings of each option under which the language model becomes four times smaller."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """An option of compression.

    Attributes:
        hparams: Hyperparameters.
        factor_rate: See ``training.Settings``.
    """

    hparams: str
    factor_rate: float = 1.0


# Factors that are trained take the matrix's place early, and have most of the steps to themselves.
_RAMP = "begin_compression_step=300,compression_frequency=4,alpha_decrement_value=0.02"
# What hardly changes once it is there does better by a matrix that is trained.
_LATE_RAMP = "begin_compression_step=1400,compression_frequency=4,alpha_decrement_value=0.02"
DEFAULT_HPARAMS = f"name=language_model,{_RAMP},compression_option=1,rank=450"
OPTIONS = {
    "uncompressed": Option("compression_option=0"),
    "low rank": Option(f"compression_option=1,rank=450,{_RAMP}"),
    "simhash": Option(f"compression_option=2,rank=1,{_LATE_RAMP}"),
    "dictionary learning": Option(f"compression_option=3,rank=960,{_RAMP}"),
    "k-means": Option(f"compression_option=4,rank=128,{_LATE_RAMP}", 0.05),
    "compositional codes": Option(f"compression_option=5,rank=415,num_codewords=4,{_RAMP}", 0.3),
    "pruning and k-means": Option(
        "compression_option=8,rank=256,target_sparsity=0.5,begin_pruning_step=600,"
        "pruning_frequency=10,sparsity_function_begin_step=600,sparsity_function_end_step=1200,"
        f"{_LATE_RAMP}",
        0.05,
    ),
    "input-output": Option("compression_option=9,input_compression_factor=4,input_block_size=32"),
}
