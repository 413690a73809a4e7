"""The numbers of compression options and of update options, by name.

Source: Google's graph_compression library, whose names and numbers these are; option 5 is this
library's own.
"""

import enum


class CompressionOptions(enum.IntEnum):
    """The method of compression, ``compression_option``."""

    NO_MATRIX_COMPRESSION = 0
    LOWRANK_MATRIX_COMPRESSION = 1
    SIMHASH_MATRIX_COMPRESSION = 2
    DL_MATRIX_COMPRESSION = 3
    KMEANS_MATRIX_COMPRESSION = 4
    COMPOSITIONAL_MATRIX_COMPRESSION = 5
    KMEANS_AND_PRUNING_MATRIX_COMPRESSION = 8
    INPUTOUTPUT_COMPRESSION = 9
    BLOCK_COMPRESSION = 10
    MIXED_BLOCK_COMPRESSION = 12


class UpdateOptions(enum.IntEnum):
    """What lowers alpha, ``update_option``.

    With TF_UPDATE it is the trainer's extension, each ``compression_frequency`` steps. With
    PYTHON_UPDATE it is each call of ``run_update_step``, whatever the frequency. With
    TF_AND_PYTHON_UPDATE it is both, except that pruning has its masks from the extension and its
    alpha from the calls. NO_UPDATE is for options without an alpha.
    """

    TF_UPDATE = 0
    PYTHON_UPDATE = 1
    TF_AND_PYTHON_UPDATE = 2
    NO_UPDATE = 3


# What is trained in factors from the start, or is not compressed at all.
WITHOUT_ALPHA = (
    CompressionOptions.NO_MATRIX_COMPRESSION,
    CompressionOptions.INPUTOUTPUT_COMPRESSION,
    CompressionOptions.BLOCK_COMPRESSION,
    CompressionOptions.MIXED_BLOCK_COMPRESSION,
)
