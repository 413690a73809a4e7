"""The project's own matrix products: the kernel and the arguments for each.

The kernels are in ``cuda/product.cuh``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from nncompress.gpu.runtime import Launch


class Form(IntEnum):
    """The memory layout of the operands of a product of ``(m, k)`` and ``(k, n)``."""

    ROWS_BY_ROWS = 0  # (m, k) and (n, k)
    ROWS_BY_COLUMNS = 1  # (m, k) and (k, n)
    COLUMNS_BY_COLUMNS = 2  # (k, m) and (k, n)


class Ending(IntEnum):
    """The final operation on each number of a product."""

    PLAIN = 0
    HIDDEN = 1  # tanh of the number plus its column's bias
    RESIDUAL = 2  # the number minus another, times the row's factor and ``scale``
    HIDDEN_GRADIENT = 3  # the number times one minus the square of another


# The kernels' structure Product.
_PRODUCT = np.dtype(
    [(name, np.uint64) for name in ("first", "second", "out", "bias", "other", "factors")]
    + [("squares", np.uint64), ("sums", np.uint64)]
    + [("out_stride", np.int64), ("sums_stride", np.int64)]
    + [(name, np.int32) for name in ("m", "n", "k", "form", "ending", "parts", "adding")]
    + [("scale", np.float32)],
    align=True,
)
# The kernels' structure Products, which CuPy passes by value as an array of one.
_PRODUCTS = np.dtype([("items", _PRODUCT, 2)])


@dataclass(frozen=True)
class Product:
    """A product and its final operation; the fields are those of the kernels' structure.

    Attributes:
        form: The layout of the operands.
        sizes: ``(m, n, k)``.
        first: The first operand.
        second: The second operand.
        out: The array for the result, ``(parts, m, n)`` with ``out_stride`` between the parts.
        ending: The final operation on each number.
        bias: ``(n,)``, for ``HIDDEN``.
        other: ``(m, n)``, for ``RESIDUAL`` and ``HIDDEN_GRADIENT``.
        factors: ``(m,)``, for ``RESIDUAL``.
        squares: float64, two numbers for each block, for ``RESIDUAL``: the sum of the squared
            residuals before any factor, and the same times ``factors``.
        scale: For ``RESIDUAL``.
        parts: The number of parts into which the common dimension is divided.
        out_stride: Numbers between the parts of ``out``.
        sums: The array for the first operand's sums over the common dimension, ``(parts, m)`` with
            ``out_stride`` between the parts; for ``COLUMNS_BY_COLUMNS``.
        adding: Whether to add to ``out`` and ``sums``.
    """

    form: Form
    sizes: tuple[int, int, int]
    first: object
    second: object
    out: object
    ending: Ending = Ending.PLAIN
    bias: object = None
    other: object = None
    factors: object = None
    squares: object = None
    scale: float = 1.0
    parts: int = 1
    out_stride: int = 0
    sums: object = None
    adding: bool = False

    def blocks(self, tile: "Tile") -> int:
        """Returns the number of blocks that compute it."""
        m, n, _ = self.sizes
        return -(-m // tile.rows) * -(-n // tile.columns) * self.parts


@dataclass(frozen=True)
class Tile:
    """The tiles of a product in a kernel; they are also at the end of ``cuda/product.cuh``."""

    kernel: str
    rows: int
    columns: int
    depth: int
    stages: int
    warps: tuple[int, int, int]  # down, across, and along the common dimension

    @property
    def threads(self) -> int:
        """The number of threads in a block."""
        down, across, along = self.warps
        return 32 * down * across * along

    def shared(self, form: Form) -> int:
        """Returns the bytes of shared memory that a block needs."""
        along_rows = self.depth + 4
        across_rows = self.depth * (self.rows + 8), self.depth * (self.columns + 8)
        first = across_rows[0] if form == Form.COLUMNS_BY_COLUMNS else self.rows * along_rows
        second = self.columns * along_rows if form == Form.ROWS_BY_ROWS else across_rows[1]
        result = self.warps[2] * self.rows * (self.columns + 4)
        return 4 * max(self.stages * (first + second), result)


TILES = (
    Tile("products_large", 128, 128, 16, 4, (2, 4, 1)),
    Tile("products_medium", 64, 64, 32, 3, (2, 2, 1)),
    Tile("products_small", 16, 32, 64, 4, (1, 1, 4)),
)


def choose_tile(products: Sequence[Product], shared_bytes: int, multiprocessors: int) -> Tile:
    """Returns the largest tile that leaves work for every multiprocessor.

    Args:
        products: The products of one launch.
        shared_bytes: The most shared memory of a block.
        multiprocessors: The number of multiprocessors.
    """
    fitting = [
        tile for tile in TILES
        if max(tile.shared(product.form) for product in products) <= shared_bytes
    ]  # fmt: skip
    for tile in fitting:
        if sum(product.blocks(tile) for product in products) >= multiprocessors:
            return tile
    return fitting[-1]


def product_launch(products: Sequence[Product], tile: Tile) -> Launch:
    """Returns the launch that computes one product, or two independent ones."""
    structures = np.zeros(1, _PRODUCTS)
    for structure, product in zip(structures[0]["items"], products, strict=False):
        m, n, k = product.sizes
        for name in ("first", "second", "out", "bias", "other", "factors", "squares", "sums"):
            structure[name] = address_of(getattr(product, name))
        for name in ("form", "ending", "parts", "adding", "scale", "out_stride"):
            structure[name] = getattr(product, name)
        structure["sums_stride"] = product.out_stride
        structure["m"], structure["n"], structure["k"] = m, n, k
    return Launch(
        tile.kernel,
        sum(product.blocks(tile) for product in products),
        tile.threads,
        [structures, np.int32(products[0].blocks(tile))],
        max(tile.shared(product.form) for product in products),
    )


def address_of(array: object) -> int:
    """Returns the address of a NumPy or CuPy array; 0 for None."""
    if array is None:
        return 0
    interface = getattr(array, "__cuda_array_interface__", None)
    return (interface or array.__array_interface__)["data"][0]
