"""Learning a dictionary and its sparse codes in alternation.

Source: Engan, Aase and Husøy, "Method of Optimal Directions for Frame Design", ICASSP 1999: the
best dictionary for the codes, by least squares, and codes for it by matching pursuit.
"""

import math
from typing import NamedTuple

import numpy as np

from nncompress.cpu import pursuit, sparse_rows
from nncompress.errors import InputError
from nncompress.machine import Team, free_memory
from nncompress.refinement.blas import one_blas_thread

_SEED = 15
_BLOCK_NUMBERS = 1 << 23  # products of rows and atoms in memory at a time
# Least squares continues in the next round: with more steps, the final error was no lower.
_STEPS = 5
_ROUNDING = 16  # in units of epsilon: products that small, relative to a row, count as zero


class Code(NamedTuple):
    """Sparse rows of one length: values ``(m, s)`` and their columns, int32 ``(m, s)``."""

    values: np.ndarray
    columns: np.ndarray


@one_blas_thread
def learn(
    a: np.ndarray, num_atoms: int, count: int, n_iterations: int, team: Team
) -> tuple[Code, np.ndarray]:
    """Finds a dictionary and codes.

    The dictionary starts as rows of the matrix. Each round fits it to the codes, replaces unused
    atoms with the rows that are farthest from their approximations, and finds new codes.

    Args:
        a: ``(m, n)``, float32 or float64, finite.
        num_atoms: k, the number of rows in the dictionary, at most m.
        count: s, the largest number of them that a row uses; at most k and n.
        n_iterations: The number of rounds.
        team: The threads to compute with. No result depends on their number.

    Returns:
        The codes, and the dictionary ``(k, n)``, whose rows have norm 1.

    Raises:
        InputError: There is not enough memory for the dictionary's Gram matrix.
    """
    _check_memory(num_atoms, a.dtype)
    # Scaled by a power of 2, which changes no digit, to keep squares in range.
    exponent = math.frexp(float(np.abs(a).max()))[1]
    a = np.ascontiguousarray(np.ldexp(a, -exponent))
    first = np.random.default_rng(_SEED).permutation(len(a))[:num_atoms]
    dictionary = _unit_rows(a[np.sort(first)])
    code = _pursue(a, dictionary, count, team)
    for _ in range(n_iterations):
        dictionary = _unit_rows(_fit(a, dictionary, code, team))
        code = _pursue(a, dictionary, count, team)
    return Code(np.ldexp(code.values, exponent), code.columns), dictionary


def _check_memory(num_atoms: int, dtype: np.dtype) -> None:
    wanted, free = num_atoms**2 * dtype.itemsize, free_memory()
    if free is not None and wanted > free:
        raise InputError(
            f"a dictionary of {num_atoms:,} rows needs {wanted / 1e9:.1f} GB for their inner "
            f"products, but {free / 1e9:.1f} GB are free; wanted a larger rank"
        )


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def _pursue(a: np.ndarray, dictionary: np.ndarray, count: int, team: Team) -> Code:
    """Returns the codes of rows, found by orthogonal matching pursuit."""
    code = Code(np.empty((len(a), count), a.dtype), np.empty((len(a), count), np.int32))
    gram, rounding = dictionary @ dictionary.T, float(_ROUNDING * np.finfo(a.dtype).eps)
    limits = rounding * np.linalg.norm(a, axis=1)
    height = max(1, _BLOCK_NUMBERS // len(dictionary))
    for start in range(0, len(a), height):
        rows = slice(start, start + height)
        team.run(
            pursuit.pursue, team.threads, a[rows] @ dictionary.T, gram, limits[rows],
            rounding, code.values[rows], code.columns[rows],
        )  # fmt: skip
    return code


def _fit(a: np.ndarray, dictionary: np.ndarray, code: Code, team: Team) -> np.ndarray:
    """Returns a dictionary that fits the codes better.

    It takes a few steps of conjugate gradients on the normal equations, preconditioned by their
    diagonal, separately for each column and starting from the current dictionary. Rows of the
    matrix replace unused atoms.
    Source: Saad, "Iterative Methods for Sparse Linear Systems", SIAM 2003, sections 8.3 and 9.2.
    """
    flat = code.columns.reshape(-1)
    order = np.argsort(flat, kind="stable")
    ends = np.cumsum(np.bincount(flat, minlength=len(dictionary)))
    weights = np.bincount(flat, np.square(code.values, dtype=np.float64).reshape(-1), len(ends))
    used = weights > np.finfo(a.dtype).tiny
    scales = np.where(used, 1.0 / np.where(used, weights, 1.0), 0.0).astype(a.dtype)

    def multiplied(table: np.ndarray) -> np.ndarray:
        rows = np.empty_like(a)
        team.run(sparse_rows.multiply, team.threads, *code, table, rows)
        return rows

    def gathered(rows: np.ndarray) -> np.ndarray:
        table = np.empty_like(dictionary)
        team.run(
            sparse_rows.multiply_transpose, team.threads, code.values, order, ends, rows, table
        )
        return table

    fitted = dictionary.copy()
    residual = a - multiplied(fitted)
    direction, before = np.zeros_like(fitted), np.full(a.shape[1], np.inf)
    for _ in range(_STEPS):
        gradient = gathered(residual)
        scaled = gradient * scales[:, None]
        after = _column_products(gradient, scaled)
        direction = scaled + (after / before).astype(a.dtype) * direction
        moved = multiplied(direction)
        squares = _column_products(moved, moved)
        steps = (after / np.where(squares > 0, squares, np.inf)).astype(a.dtype)
        fitted += steps * direction
        residual -= steps * moved
        before = np.where(after > 0, after, np.inf)
    unused = np.flatnonzero(~used)
    farthest = np.argsort(-np.linalg.norm(residual, axis=1), kind="stable")[: len(unused)]
    fitted[unused] = a[farthest]
    return fitted


def _column_products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the inner products of corresponding columns, in float64."""
    return np.einsum("ij,ij->j", one, other, dtype=np.float64)
