"""faiss's methods with codebooks, for `rates.py`.

A method is a function of the shape ``(N, D)`` and a budget in bytes per row; it returns the
configurations to try, of which the best counts. Codebooks and rotations are rounded to float16
before rows are decoded. Rows are padded with zeros if a method needs the number of columns to be a
multiple of its parts.
"""

import math
from collections.abc import Iterator

import faiss
import numpy as np

from benchmarks.rate_configurations import Configuration, Fitted
from benchmarks.rate_scalars import FLOAT16

BITS = (4, 8)  # of a codeword's number, for additive methods
_BEAMS = (30, 5)  # 5 is faiss's own
_PRODUCT_TRIES, _ROTATED_TRIES = 3, 2
_PARTS = ((4, 4), (2, 8))  # codebooks in a part, and bits: 16 bits per part


def product(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns product quantization with 1 to 8 bits per part."""
    found = list(_products(shape, budget, rotated=False))
    return found[:_PRODUCT_TRIES]


def rotated_product(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns optimized product quantization, which learns a rotation."""
    found = list(_products(shape, budget, rotated=True))
    return found[:_ROTATED_TRIES]


def _products(shape: tuple[int, int], budget: float, *, rotated: bool) -> Iterator[Configuration]:
    """Yields the most parts that fit for each number of bits, those with the most bits first."""
    num_rows, dim = shape
    found = []
    for bits in range(1, 9):
        for columns in range(1, dim + 1):
            parts = math.ceil(dim / columns)
            width = parts * columns
            shared = FLOAT16 * 2**bits * width + (FLOAT16 * width**2 if rotated else 0)
            size = math.ceil(parts * bits / 8) + shared / num_rows
            if size <= budget:
                found.append((parts * bits, bits, parts, size))
                break
    for _, bits, parts, size in sorted(found, reverse=True):
        yield Configuration(
            f"M={parts}, K={2**bits}", size, fit_product,
            {"parts": parts, "bits": bits, "rotated": rotated},
            family=f"K={2**bits}",
        )  # fmt: skip


def fit_product(x: np.ndarray, *, parts: int, bits: int, rotated: bool) -> Fitted:
    """Fits faiss's ProductQuantizer, after an OPQMatrix if rotated."""
    rows = _padded(x, parts)
    width = rows.shape[1]
    if rotated:
        rotation = faiss.OPQMatrix(width, parts)
        rotation.pq = faiss.ProductQuantizer(width, parts, bits)
        rotation.train(rows)
        rows = rotation.apply(rows)
    quantizer = faiss.ProductQuantizer(width, parts, bits)
    quantizer.train(rows)
    codes = quantizer.compute_codes(rows)
    _round(quantizer.centroids)
    decoded = quantizer.decode(codes)
    if rotated:
        _round(rotation.A)
        decoded = rotation.reverse_transform(decoded)
    return Fitted(decoded[:, : x.shape[1]])


def residual(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns residual quantization, with a narrower beam if the wide one takes too long."""
    return list(_additive(shape, budget, "ResidualQuantizer", _BEAMS))


def local_search(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns additive quantization by local search."""
    return list(_additive(shape, budget, "LocalSearchQuantizer", (None,)))


def _additive(
    shape: tuple[int, int], budget: float, name: str, beams: tuple[int | None, ...]
) -> Iterator[Configuration]:
    num_rows, dim = shape
    for bits in BITS:
        each = bits / 8 + FLOAT16 * 2**bits * dim / num_rows
        codebooks = math.floor(budget / each)
        size = _additive_size(codebooks, bits, dim, num_rows)
        while size > budget and codebooks:
            codebooks -= 1
            size = _additive_size(codebooks, bits, dim, num_rows)
        if not codebooks:
            continue
        found = None
        for beam in reversed(beams):
            found = Configuration(
                f"M={codebooks}, K={2**bits}" + (f", beam {beam}" if beam else ""),
                size, fit_additive,
                {"name": name, "sizes": (dim, codebooks, bits), "beam": beam},
                family=f"K={2**bits}, beam {beam}", work=codebooks, cheaper=found,
            )  # fmt: skip
        yield found


def _additive_size(codebooks: int, bits: int, dim: int, num_rows: int) -> float:
    return math.ceil(codebooks * bits / 8) + FLOAT16 * codebooks * 2**bits * dim / num_rows


def product_residual(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns residual quantization applied to parts of the columns."""
    return list(_split(shape, budget, "ProductResidualQuantizer"))


def product_local_search(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns additive quantization by local search, applied to parts of the columns."""
    return list(_split(shape, budget, "ProductLocalSearchQuantizer"))


def _split(shape: tuple[int, int], budget: float, name: str) -> Iterator[Configuration]:
    """Yields two halves with the most codebooks that fit, and the most 16-bit parts that fit."""
    num_rows, dim = shape

    def size(parts: int, codebooks: int, bits: int) -> float:
        width = parts * math.ceil(dim / parts)
        shared = FLOAT16 * codebooks * 2**bits * width
        return math.ceil(parts * codebooks * bits / 8) + shared / num_rows

    found = []
    halves = [m for m in range(1, 8 * dim) if size(2, m, 4) <= budget]
    if halves:
        found.append((2, halves[-1], 4, "halves", halves[-1]))
    for codebooks, bits in _PARTS:
        counts = {math.ceil(dim / columns) for columns in range(1, dim // 2 + 1)}
        fitting = [parts for parts in counts if size(parts, codebooks, bits) <= budget]
        if fitting:
            found.append((max(fitting), codebooks, bits, f"parts, K={2**bits}", 1))
    for parts, codebooks, bits, family, work in found:
        yield Configuration(
            f"{parts} splits, M={codebooks}, K={2**bits}", size(parts, codebooks, bits),
            fit_additive, {"name": name, "sizes": (dim, parts, codebooks, bits)},
            family=family, work=work,
        )  # fmt: skip


def fit_additive(
    x: np.ndarray, *, name: str, sizes: tuple[int, ...], beam: int | None = None
) -> Fitted:
    """Fits one of faiss's additive quantizers.

    Args:
        x: The rows.
        name: The name of faiss's class.
        sizes: Its constructor's arguments: columns, splits if it has them, codebooks and bits.
        beam: Width of the beam; None for faiss's own.
    """
    _, *splits, codebooks, bits = sizes
    rows = _padded(x, *splits) if splits else x
    quantizer = getattr(faiss, name)(rows.shape[1], *splits, codebooks, bits)
    if beam is not None:
        quantizer.max_beam_size = beam
    quantizer.train(rows)
    codes = quantizer.compute_codes(rows)
    _round(quantizer.codebooks)
    return Fitted(quantizer.decode(codes)[:, : x.shape[1]])


def _padded(x: np.ndarray, parts: int) -> np.ndarray:
    width = parts * math.ceil(x.shape[1] / parts)
    rows = np.zeros((len(x), width), np.float32)
    rows[:, : x.shape[1]] = x
    return rows


def _round(numbers) -> None:
    """Rounds a faiss vector to float16, in place."""
    rounded = faiss.vector_to_array(numbers).astype(np.float16).astype(np.float32)
    faiss.copy_array_to_vector(rounded, numbers)
