"""How far a compressed table is from the original."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.errors import InputError
from nncompress.progress import progress_bar
from nncompress.sources import EmbeddingMatrix

CODEBOOK_DTYPES = ("auto", "float16", "float32")
# A codebook is kept in float16 where that adds less than this share of the loss.
_ADDED_LOSS = 1e-3


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
        InputError: The name is none of ``CODEBOOK_DTYPES``.
    """
    if dtype not in CODEBOOK_DTYPES:
        raise InputError(f"no codebook type {dtype!r}; wanted one of {', '.join(CODEBOOK_DTYPES)}")


def measure(matrix: EmbeddingMatrix, table: CodeTable, xp: ModuleType = np) -> Distortion:
    """Compares each row of a matrix with the row of the same number in a table.

    Args:
        matrix: ``(N, D)``.
        table: At least N rows of D columns.
        xp: The array library that rows are decoded and compared with: NumPy, or CuPy for the
            current GPU.
    """
    if xp is not np:
        from nncompress.gpu.decoding import GpuTable

        table = GpuTable(xp, table)
    totals = np.zeros(3)
    with progress_bar(len(matrix), "Measuring distances") as bar:
        for start, rows in matrix.batches(8_192):
            decoded = table.decode(slice(start, start + len(rows)))
            totals += distances(xp.asarray(rows), decoded, xp).sum(axis=1).tolist()
            bar.update(len(rows))
    return Distortion(*(totals / len(matrix)).tolist())


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
    matrix: EmbeddingMatrix,
    table: CodeTable,
    exact: Distortion,
    dtype: str = "auto",
    xp: ModuleType = np,
) -> tuple[CodeTable, Distortion]:
    """Chooses the type that a codebook is stored in.

    Args:
        matrix: ``(N, D)``, what the table stands for.
        table: Codes and a codebook in float32.
        exact: Its distortion.
        dtype: ``"float16"``, ``"float32"``, or ``"auto"``: float16 where that adds less than 0.1%
            to the loss.
        xp: As for ``measure``.

    Returns:
        A table of the same codes, and its distortion.

    Raises:
        InputError: The type is another, or float16 cannot hold the codebook.
    """
    check_codebook_dtype(dtype)
    if dtype == "float32":
        return table, exact
    with np.errstate(over="ignore"):
        codebook = table.codebook.astype(np.float16)
    if np.isfinite(codebook).all():
        small = CodeTable(table.packed, codebook, table.num_codebooks)
        narrow = measure(matrix, small, xp)
        if dtype == "float16" or narrow.loss <= (1.0 + _ADDED_LOSS) * exact.loss:
            return small, narrow
    elif dtype == "float16":
        raise InputError("the codebook has numbers too large for float16; wanted float32")
    return table, exact
