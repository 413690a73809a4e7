"""Encoding a whole matrix."""

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.codes import code_dtype
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.progress import progress_bar
from nncompress.sources import EmbeddingMatrix

ENCODING_BATCH = 16_384


def require_same_width(chain: CompositionalAutoencoder, matrix: EmbeddingMatrix) -> None:
    """Refuses a matrix that the chain cannot encode.

    Raises:
        InputError: The matrix and the chain have different numbers of columns.
    """
    if matrix.dim != chain.dim:
        raise InputError(
            f"{matrix.name} has {matrix.dim} columns, but the model was trained on {chain.dim}"
        )


def encode(
    chain: CompositionalAutoencoder,
    matrix: EmbeddingMatrix,
    machine: Machine,
    batch_size: int = ENCODING_BATCH,
) -> np.ndarray:
    """Encodes every row.

    Args:
        chain: The autoencoder, on the machine's device.
        matrix: The embedding matrix, N rows.
        machine: The machine to compute on.
        batch_size: Rows in a batch.

    Returns:
        Codes ``(N, M)``, uint8 or uint16.

    Raises:
        InputError: The matrix and the chain have different numbers of columns.
    """
    require_same_width(chain, matrix)
    codes = np.empty((len(matrix), chain.num_codebooks), code_dtype(chain.num_codewords))
    with progress_bar(len(matrix), "Encoding") as bar:
        for start, rows in matrix.batches(batch_size):
            chosen = chain.encode(machine.device.send(rows))
            codes[start : start + len(rows)] = chainer.backends.cuda.to_cpu(chosen)
            bar.update(len(rows))
    return codes
