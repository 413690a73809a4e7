"""The numbers of compression options and update options, by name.

Source: the names and numbers are those of Google's graph_compression library, except option 5,
which is this library's own.
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
    """The way alpha is lowered, ``update_option``.

    With TF_UPDATE, the trainer's extension lowers it every ``compression_frequency`` steps. With
    PYTHON_UPDATE, each call of ``run_update_step`` does, whatever the frequency. With
    TF_AND_PYTHON_UPDATE, both do, except that with pruning the extension updates the masks and the
    calls lower alpha. NO_UPDATE is for options without an alpha.
    """

    TF_UPDATE = 0
    PYTHON_UPDATE = 1
    TF_AND_PYTHON_UPDATE = 2
    NO_UPDATE = 3


# Options that train factors from scratch, or do not compress at all.
WITHOUT_ALPHA = (
    CompressionOptions.NO_MATRIX_COMPRESSION,
    CompressionOptions.INPUTOUTPUT_COMPRESSION,
    CompressionOptions.BLOCK_COMPRESSION,
    CompressionOptions.MIXED_BLOCK_COMPRESSION,
)
