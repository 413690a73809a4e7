"""A training step in array code with cuBLAS's products, which the project's step has to beat.

Everything between the products is done by CuPy's elementwise and reduction kernels, and all data
of a step is in GPU memory, so that it can also be recorded as a CUDA graph. The mathematics is
that of ``nncompress/autoencoder/chain.py``.
"""

import re
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from nncompress.gpu.parameters import FlatArrays
from nncompress.gpu.step import Sizes

ADAM = {"ALPHA": 1e-3, "BETA1": 0.9, "BETA2": 0.999, "EPS": 1e-8}
TAU = 0.5
# Writes the product of two matrices, either of which may be a transposed view, to a third.
Multiply = Callable[[object, object, object], object]

# A multiplicative hash of bits.
_SCRAMBLED = """
__device__ unsigned int scrambled(unsigned int bits) {
    bits ^= bits >> 16;
    bits *= 0x21f0aaadu;
    bits ^= bits >> 15;
    bits *= 0xd35a2d97u;
    return bits ^ (bits >> 15);
}
"""

# Name: parameters that are read, parameters that are written, and the operation for each i.
_ELEMENTWISE = {
    "gather": (
        "raw T table, raw int32 order, raw int64 steps",
        "raw T x",
        """
        const long long row = (steps[0] * BATCH + i / DIM) % ROWS;
        x[i] = table[order[row] * (long long)DIM + i % DIM];
        """,
    ),
    "hidden": ("raw T bias", "raw T h", "h[i] = tanh(h[i] + bias[i % HIDDEN]);"),
    # Each thread handles a group of codewords, turning the encoder's outputs in p into
    # probabilities; q are the derivatives of the softmax's arguments with respect to the outputs.
    "softmax": (
        "raw T bias, raw int64 steps",
        "raw T p, raw T q, raw T certain",
        """
        const long long first = (long long)i * CODEWORDS;
        const unsigned int key = scrambled((unsigned int)steps[0]);
        T values[CODEWORDS];
        T most = 0;
        for (int k = 0; k < CODEWORDS; ++k) {
            const T a = p[first + k] + bias[(first + k) % UNITS];
            const T e = exp(-fabs(a));
            const T soft = fmax(a, T(0)) + log1p(e) + T(1e-8);
            const unsigned int bits = scrambled((unsigned int)(first + k) ^ key);
            const T uniform = (T(bits >> 9) + T(0.5)) * T(1.0 / 8388608);
            values[k] = log(soft / -log(uniform)) / T(TAU);
            most = k == 0 || values[k] > most ? values[k] : most;
            q[first + k] = (a < T(0) ? e : T(1)) / ((T(1) + e) * soft * T(TAU));
        }
        T total = 0;
        for (int k = 0; k < CODEWORDS; ++k) {
            values[k] = exp(values[k] - most);
            total += values[k];
        }
        for (int k = 0; k < CODEWORDS; ++k) {
            p[first + k] = values[k] / total;
        }
        certain[i] = T(1) / total;
        """,
    ),
    "residual": ("raw T x", "raw T r", "r[i] = (r[i] - x[i]) / T(BATCH);"),
    # Turns the gradients of the probabilities into those of the encoder's outputs.
    "softmax_gradient": (
        "raw T p, raw T q",
        "raw T dp",
        """
        const long long first = (long long)i * CODEWORDS;
        T mean = 0;
        for (int k = 0; k < CODEWORDS; ++k) {
            mean += p[first + k] * dp[first + k];
        }
        for (int k = 0; k < CODEWORDS; ++k) {
            dp[first + k] = p[first + k] * (dp[first + k] - mean) * q[first + k];
        }
        """,
    ),
    "hidden_gradient": ("raw T h", "raw T dh", "dh[i] *= T(1) - h[i] * h[i];"),
    "adam": (
        "raw T g, raw float64 rate",
        "raw T w, raw T m, raw T v",
        """
        const T gradient = g[i];
        const T mean = m[i] + T(1 - BETA1) * (gradient - m[i]);
        const T square = v[i] + T(1 - BETA2) * (gradient * gradient - v[i]);
        m[i] = mean;
        v[i] = square;
        w[i] -= T(rate[0]) * mean / (sqrt(square) + T(EPS));
        """,
    ),
    # Counts a completed step, and sets the rate for the next one.
    "count": (
        "raw int64 made",
        "raw int64 steps, raw float64 rate",
        """
        const long long next = made[0] + 1;
        steps[0] = next;
        rate[0] = ALPHA * sqrt(1 - pow(BETA2, next + 1.0)) / (1 - pow(BETA1, next + 1.0));
        """,
    ),
}
_REDUCTIONS = {"add_squares": "(double)a0 * a0", "add": "(double)a0"}


class ArrayStep:
    """Adam steps on the autoencoder, with products computed by ``multiply``.

    Args:
        xp: CuPy, or a library with its kernels and arrays.
        table: Normalized rows, float32 or float64 ``(N, D)``; all computation is in its type.
        order: Order in which rows are used, repeatedly, int32 ``(N,)``.
        sizes: Sizes of the network.
        batch: Rows in a step.
        initial: First weights and bias, second weights and bias, and codebook.
        multiply: A function that makes products; ``cupy.dot`` calls cuBLAS with less Python
            overhead than ``matmul``.

    Attributes:
        parameters: The parameters, in the order of ``initial``.
        gradients: Their gradients.
    """

    def __init__(
        self,
        xp: ModuleType,
        table: object,
        order: object,
        sizes: Sizes,
        batch: int,
        initial: Sequence[np.ndarray],
        multiply: Multiply,
    ) -> None:
        dtype = table.dtype
        dim, hidden, units = sizes.dim, sizes.num_hidden, sizes.num_units
        groups = sizes.num_codebooks
        self._multiply = multiply
        self._kernels = _kernels_of(xp, sizes, batch, len(table))
        self._table, self._order = table, order
        self._sizes, self._batch = sizes, batch
        flat = FlatArrays(xp, sizes.shapes)
        size = len(flat.values)
        self._values, self._slopes, self._means, self._squares = (
            xp.zeros(size, dtype=dtype) for _ in range(4)
        )
        self.parameters = flat.views_of(self._values, sizes.shapes)
        self.gradients = flat.views_of(self._slopes, sizes.shapes)
        for parameter, values in zip(self.parameters, initial, strict=True):
            parameter[...] = xp.asarray(values, dtype=dtype)
        self._x, self._r = (xp.zeros((batch, dim), dtype=dtype) for _ in range(2))
        self._h, self._dh = (xp.zeros((batch, hidden), dtype=dtype) for _ in range(2))
        self._p, self._q, self._dp = (xp.zeros((batch, units), dtype=dtype) for _ in range(3))
        self._certain = xp.zeros((batch, groups), dtype=dtype)
        self._loss, self._maxp = xp.zeros(dim), xp.zeros(groups)
        self._steps = xp.full(1, -1, dtype=xp.int64)
        self._rate = xp.zeros(1)
        self._kernels["count"](self._steps, self._steps, self._rate, size=1)
        w1, _, w2, _, codebook = self.parameters
        dw1, _, dw2, _, dcodebook = self.gradients
        self._products = {
            "hidden": (self._x, w1.T, self._h),
            "outputs": (self._h, w2.T, self._p),
            "reconstruction": (self._p, codebook, self._r),
            "probabilities' gradient": (self._r, codebook.T, self._dp),
            "codebook's gradient": (self._p.T, self._r, dcodebook),
            "second layer's gradient": (self._dp.T, self._h, dw2),
            "hidden's gradient": (self._dp, w2, self._dh),
            "first layer's gradient": (self._dh.T, self._x, dw1),
        }

    def __call__(self) -> None:
        """Makes a step."""
        self.find_gradients()
        size = len(self._values)
        slopes, moments = self._slopes, (self._means, self._squares)
        self._kernels["adam"](slopes, self._rate, self._values, *moments, size=size)
        self._kernels["count"](self._steps, self._steps, self._rate, size=1)

    def find_gradients(self) -> None:
        """Runs the next batch forward and backward, and adds up its loss and maxp."""
        kernels, x, h, p, r = self._kernels, self._x, self._h, self._p, self._r
        _, b1, _, b2, _ = self.parameters
        _, db1, _, db2, _ = self.gradients
        kernels["gather"](self._table, self._order, self._steps, x, size=x.size)
        self._product("hidden")
        kernels["hidden"](b1, h, size=h.size)
        self._product("outputs")
        groups = self._certain.size
        kernels["softmax"](b2, self._steps, p, self._q, self._certain, size=groups)
        self._product("reconstruction")
        kernels["residual"](x, r, size=r.size)
        kernels["add_squares"](r, self._loss, axis=0)
        kernels["add"](self._certain, self._maxp, axis=0)
        self._product("probabilities' gradient")
        self._product("codebook's gradient")
        kernels["softmax_gradient"](p, self._q, self._dp, size=groups)
        self._product("second layer's gradient")
        self._dp.sum(axis=0, out=db2)
        self._product("hidden's gradient")
        kernels["hidden_gradient"](h, self._dh, size=h.size)
        self._product("first layer's gradient")
        self._dh.sum(axis=0, out=db1)

    def observed(self) -> tuple[float, float]:
        """Returns the means of loss and maxp over all steps so far."""
        steps = float(self._steps[0])
        loss = 0.5 * self._batch * float(self._loss.sum()) / steps
        return loss, float(self._maxp.sum()) / (self._certain.size * steps)

    def _product(self, name: str) -> None:
        self._multiply(*self._products[name])


def _kernels_of(
    xp: ModuleType, sizes: Sizes, batch: int, num_rows: int
) -> dict[str, Callable[..., object]]:
    """Returns the kernels for these sizes."""
    constants = ADAM | {
        "BATCH": batch,
        "ROWS": num_rows,
        "DIM": sizes.dim,
        "HIDDEN": sizes.num_hidden,
        "CODEWORDS": sizes.num_codewords,
        "UNITS": sizes.num_units,
        "TAU": TAU,
    }

    def preamble(operation: str) -> str:
        # Only those that are used, so that kernels shared by batches are compiled once.
        used = {
            name: constants[name] for name in re.findall(r"\w+", operation) if name in constants
        }
        lines = "".join(f"#define {name} {value!r}\n" for name, value in used.items())
        return lines + (_SCRAMBLED if "scrambled" in operation else "")

    elementwise = {
        name: xp.ElementwiseKernel(*code, f"step_{name}", preamble=preamble(code[-1]))
        for name, code in _ELEMENTWISE.items()
    }
    reductions = {
        name: xp.ReductionKernel(
            "T a0", "float64 total", mapped, "a + b", "total += a", "0", f"step_{name}"
        )
        for name, mapped in _REDUCTIONS.items()
    }
    return elementwise | reductions
