"""The products of a training step, timed one by one with the project's kernels and cuBLAS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from benchmarks.gpu_steps import Multiply
from benchmarks.gpu_timing import seconds_of
from nncompress.gpu.products import Form, Product, choose_tile, product_launch
from nncompress.gpu.runtime import Kernels, Launch, Runtime, first_reason
from nncompress.gpu.step import TILE_ROWS, Sizes, gradient_parts

OWN = "own"
_LAUNCHES, _REPEATS = 20, 5


@dataclass(frozen=True)
class StepProduct:
    """One of a step's products of ``(m, k)`` and ``(k, n)``.

    Attributes:
        name: The name of the result.
        form: The memory layout of the operands.
        sizes: ``(m, n, k)``.
    """

    name: str
    form: Form
    sizes: tuple[int, int, int]

    @property
    def operations(self) -> float:
        """The number of floating-point operations."""
        return 2.0 * float(np.prod(self.sizes))

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes of the operands in memory."""
        m, n, k = self.sizes
        first = (k, m) if self.form == Form.COLUMNS_BY_COLUMNS else (m, k)
        return first, ((n, k) if self.form == Form.ROWS_BY_ROWS else (k, n))


def step_products(sizes: Sizes, batch: int) -> list[StepProduct]:
    """Returns a step's products, in order.

    Args:
        sizes: Sizes of the network.
        batch: Rows in the step.
    """
    dim, hidden, units = sizes.dim, sizes.num_hidden, sizes.num_units
    rows, columns, sums = Form.ROWS_BY_ROWS, Form.ROWS_BY_COLUMNS, Form.COLUMNS_BY_COLUMNS
    return [
        StepProduct("hidden activations", rows, (batch, hidden, dim)),
        StepProduct("encoder's outputs", rows, (batch, units, hidden)),
        StepProduct("reconstruction", columns, (batch, dim, units)),
        StepProduct("gradient of probabilities", rows, (batch, units, dim)),
        StepProduct("gradient of the codebook", sums, (units, dim, batch)),
        StepProduct("gradient of hidden activations", columns, (batch, hidden, units)),
        StepProduct("gradient of the second layer", sums, (units, hidden, batch)),
        StepProduct("gradient of the first layer", sums, (hidden, dim, batch)),
    ]


def own_launches(
    product: StepProduct, first: object, second: object, sizes: Sizes, runtime: Runtime
) -> tuple[list[Launch], object]:
    """Returns the launches that compute a product as our step does, and the array of its parts.

    Args:
        product: The product.
        first: The first operand, as in memory.
        second: The second operand, as in memory.
        sizes: Sizes of the network.
        runtime: The GPU.

    Returns:
        Launches, and ``(parts, m, n)``: the result is the sum of the parts.
    """
    m, n, k = product.sizes
    summing = product.form == Form.COLUMNS_BY_COLUMNS
    batch = k if summing else m
    tile_rows = min(batch, TILE_ROWS)
    parts = gradient_parts(sizes, tile_rows, runtime.multiprocessors) if summing else 1
    out = runtime.xp.zeros((parts, m, n), dtype=np.float32)
    launches = []
    for begin in range(0, batch, tile_rows):
        rows = slice(begin, min(begin + tile_rows, batch))
        height = rows.stop - begin
        if summing:
            made = Product(
                product.form, (m, n, height), first[rows], second[rows], out,
                parts=parts, out_stride=m * n, adding=begin > 0,
            )  # fmt: skip
        else:
            made = Product(product.form, (height, n, k), first[rows], second, out[0, rows])
        tile = choose_tile([made], runtime.shared_bytes, runtime.multiprocessors)
        launches.append(product_launch([made], tile))
    return launches, out


@dataclass
class ProductTimes:
    """The speed of a product.

    Attributes:
        product: The product.
        rates: TFLOP/s by contender.
        errors: Relative errors compared with float64, by norm.
        reasons: Reasons for missing rates, by contender.
    """

    product: StepProduct
    rates: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def time_product(
    product: StepProduct,
    sizes: Sizes,
    runtime: Runtime,
    kernels: Kernels,
    others: Sequence[tuple[str, Multiply, bool]],
) -> ProductTimes:
    """Measures a product by the project's kernels, recorded like the step, and by others.

    Args:
        product: The product.
        sizes: Sizes of the network.
        runtime: The GPU.
        kernels: The kernels of the module ``step``.
        others: For each other contender, its name, a function that makes products, and whether
            that can be recorded; if not, it is launched from Python each time.
    """
    xp = runtime.xp
    random = np.random.default_rng(5)
    first, second = (
        xp.asarray(random.standard_normal(shape, dtype=np.float32)) for shape in product.shapes
    )
    left = first.T if product.form == Form.COLUMNS_BY_COLUMNS else first
    right = second.T if product.form == Form.ROWS_BY_ROWS else second
    wanted = left.astype(np.float64) @ right.astype(np.float64)
    launches, parts = own_launches(product, first, second, sizes, runtime)
    out = xp.empty(product.sizes[:2], dtype=np.float32)
    times = ProductTimes(product)

    def own() -> None:
        for launch in launches:
            kernels.launch(*launch)

    def measure(make: Callable[[], None], recorded: bool, result: Callable[[], object]):
        make()
        found = result()
        error = float(xp.linalg.norm(found - wanted) / xp.linalg.norm(wanted))

        def often() -> None:
            for _ in range(_LAUNCHES):
                make()

        seconds = seconds_of(runtime.record(often) if recorded else often, xp, _REPEATS)
        return product.operations * _LAUNCHES / seconds / 1e12, error

    contenders = {OWN: (own, True, lambda: parts.sum(axis=0))}
    for name, multiply, recorded in others:
        contenders[name] = partial(multiply, left, right, out), recorded, lambda: out
    for name, contender in contenders.items():
        try:
            times.rates[name], times.errors[name] = measure(*contender)
        except Exception as error:  # whatever CuPy, a compiler or a driver raises
            times.reasons[name] = first_reason(error)
    return times
