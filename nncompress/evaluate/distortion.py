"""The distance of a compressed table from the original."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.codes import reconstruct
from nncompress.embedding.quantized_matrix import QuantizedMatrix
from nncompress.errors import InputError
from nncompress.progress import progress_bar
from nncompress.sources import EmbeddingMatrix

CODEBOOK_DTYPES = ("auto", "float16", "float32", "int8")
# A codebook is kept in float16 if that adds less than this share to the loss, and takes less than
# this from the mean cosine, which shows the effect on rows that contribute little to the loss.
_ADDED_LOSS, _LOST_COSINE = 1e-3, 1e-3
# A loss this many times that of the mean row is worse by more than rounding.
_WORSE = 1.005
_BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class Distortion:
    """Means over rows, in the units of the matrix.

    Attributes:
        loss: Mean of ``0.5 * ||x - reconstruction||^2``.
        distance: Mean of ``||x - reconstruction||``, the mean Euclidean distance.
        cosine: Mean cosine between x and its reconstruction; 0 where one of them is 0.
    """

    loss: float
    distance: float
    cosine: float


def check_codebook_dtype(dtype: str) -> None:
    """Refuses a name that ``choose_codebook`` does not know.

    Raises:
        InputError: The name is not one of ``CODEBOOK_DTYPES``.
    """
    if dtype not in CODEBOOK_DTYPES:
        raise InputError(
            f"unknown codebook type {dtype!r}; wanted one of {', '.join(CODEBOOK_DTYPES)}"
        )


def measure(
    matrix: EmbeddingMatrix, tables: Sequence[CodeTable], xp: ModuleType = np
) -> list[Distortion]:
    """Compares each row of a matrix with the same row in several tables, in one pass.

    Args:
        matrix: ``(N, D)``.
        tables: Tables with at least N rows of D columns each.
        xp: The array library that rows are decoded and compared with: NumPy, or CuPy for the
            current GPU.

    Returns:
        The distortion of each table.
    """
    decoders = tables if xp is np else [_GpuDecoder(xp, table) for table in tables]
    totals = np.zeros((len(tables), 3))
    with progress_bar(len(matrix), "Measuring distances") as bar:
        for start, rows in matrix.batches(_BLOCK_ROWS):
            sent = xp.asarray(rows)
            for total, decoder in zip(totals, decoders, strict=True):
                decoded = decoder.decode(slice(start, start + len(rows)))
                total += distances(sent, decoded, xp).sum(axis=1).tolist()
            bar.update(len(rows))
    return [Distortion(*means) for means in (totals / len(matrix)).tolist()]


def distances(rows: np.ndarray, decoded: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Returns half the squared distance, the distance and the cosine of each row, ``(3, n)``.

    Args:
        rows: ``(n, D)``.
        decoded: ``(n, D)``.
        xp: Their array library.
    """
    difference = rows - decoded
    squares, norms, other_norms = (
        xp.einsum("nd,nd->n", array, array, dtype=np.float64)
        for array in (difference, rows, decoded)
    )
    lengths = xp.sqrt(norms * other_norms)
    products = xp.einsum("nd,nd->n", rows, decoded, dtype=np.float64)
    cosines = products / xp.where(lengths > 0, lengths, 1.0)
    return xp.stack([0.5 * squares, xp.sqrt(squares), cosines])


def choose_codebook(
    matrix: EmbeddingMatrix, table: CodeTable, dtype: str = "auto", xp: ModuleType = np
) -> tuple[CodeTable, Distortion, Distortion]:
    """Chooses the type in which to store a codebook, in one pass over the matrix.

    Args:
        matrix: The original, ``(N, D)``.
        table: Codes and a codebook in float32.
        dtype: ``"float16"``, ``"float32"``, ``"int8"`` (with one scale per codeword), or
            ``"auto"``: float16 if that adds less than 0.1% to the loss and takes less than 0.001
            from the mean cosine.
        xp: The array library to compare with: NumPy, or CuPy for the current GPU.

    Returns:
        A table with the same codes, its distortion, and that of the original table.

    Raises:
        InputError: The type is unknown, or float16 cannot hold the codebook.
    """
    check_codebook_dtype(dtype)
    small = None
    if dtype == "int8":
        small = CodeTable(table.packed, QuantizedMatrix.of(table.codebook, 8), table.num_codebooks)
    elif dtype != "float32":
        with np.errstate(over="ignore"):
            codebook = table.codebook.astype(np.float16)
        if np.isfinite(codebook).all():
            small = CodeTable(table.packed, codebook, table.num_codebooks)
        elif dtype == "float16":
            raise InputError("the codebook has numbers too large for float16; wanted float32")
    if small is None:
        (exact,) = measure(matrix, [table], xp)
        return table, exact, exact
    exact, narrow = measure(matrix, [table, small], xp)
    is_near = narrow.loss <= (1.0 + _ADDED_LOSS) * exact.loss
    if dtype in ("float16", "int8") or (is_near and narrow.cosine >= exact.cosine - _LOST_COSINE):
        return small, narrow, exact
    return table, exact, exact


def warn_if_poor(loss: float, mean_row_loss: float) -> None:
    """Warns if a result is farther from the rows than their mean is.

    Args:
        loss: The result's loss.
        mean_row_loss: The loss of replacing every row by the mean; 0 if all rows are the same.
    """
    if loss > _WORSE * mean_row_loss > 0:
        warnings.warn(
            f"the result is worse than the mean row alone (error {loss / mean_row_loss:.3g} times "
            "the table's variance): train longer, or with a lower learning rate (--lr)",
            stacklevel=3,
        )


class _GpuDecoder:
    """Decodes the rows of a table of codes on the current GPU."""

    def __init__(self, xp: ModuleType, table: CodeTable) -> None:
        self._xp = xp
        self._table = table
        self._codebook = xp.asarray(table.codebook.astype(np.float32))

    def decode(self, rows: slice) -> object:
        """Returns rows on the GPU, float32 ``(n, D)``."""
        return reconstruct(self._xp.asarray(self._table.codes(rows)), self._codebook, self._xp)
