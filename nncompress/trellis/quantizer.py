"""A quantizer of rows: axes and tables fitted to a sample, with which any rows can be coded.

Sources: Fischer and Wang, "Entropy-constrained trellis-coded quantization", IEEE Transactions on
Information Theory, 1992; Marcellin, "On entropy-constrained trellis coded quantization", IEEE
Transactions on Communications, 1994.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.centres import Centres
from nncompress.embedding.reflections import axes_of
from nncompress.embedding.residual import LEFT_OUT, EntropyTables, Residual, Stream
from nncompress.embedding.residual_kernels import Reading
from nncompress.embedding.rice import RiceRows
from nncompress.embedding.trellis_code import trellis_code
from nncompress.errors import InputError
from nncompress.refinement.blas import one_blas_thread
from nncompress.sources.matrix import spaced_rows
from nncompress.trellis.basis import Basis, fit_basis
from nncompress.trellis.clusters import cluster_bits_for, nearest
from nncompress.trellis.engines.interface import Counted, Engine
from nncompress.trellis.scales import MOST_SCALES, RATIO, Scales, in_slots, scale_of

# The mean squared error of a trellis's levels, in squared steps, for a small step.
_GRANULAR = 0.27
# The mean squared error of a coded coordinate, in squared steps, when bits are worth their cost.
_DISTORTION = 0.3
# Axes with a smaller root mean square, in steps, are left out.
_LEAST_AXIS = 0.3
_ROUNDS = 3
# The rows that tables are fitted to; axes and centres are fitted to all available rows.
_FITTED_ROWS = 16_384
# Centres are rounded to the nearest integer, except small ones, which take more bits.
_ROUND_FROM = 0.4
# Row classes span this many scales in either direction, and their steps this many.
_REACH, _MOST_EXPONENT = 24, 24
_CLASSES_APART = 20.0
_MOST_CLASSES = 255
# Levels are int16.
_LARGEST_SIZE = 60_000.0


@dataclass(frozen=True)
class Settings:
    """Settings of a quantizer.

    Attributes:
        step: The quantization step of a row of weight 1, in the rows' units.
        lam: The cost of a bit, in units of the squared error that a Gaussian's last bit saves.
        state_bits: The number of bits of the trellis's state.
        block_rows: Rows in a block, G.
        cluster_bits: The number of bits that number the clusters; 0 for a single cluster, the
            mean; None for as many as are worth their size.
    """

    step: float
    lam: float = 1.0
    state_bits: int = 8
    block_rows: int = 1
    cluster_bits: int | None = None

    @property
    def cost_of_a_bit(self) -> float:
        """The cost of a bit in squared steps."""
        return self.lam * 2 * math.log(2) * _GRANULAR


@dataclass(frozen=True)
class Coded:
    """Rows as levels.

    Attributes:
        levels: int16 ``(n, T)``.
        classes: Each row's class, uint8 ``(n,)``.
        errors: The squared error of each row within the axes, in the rows' units, float64
            ``(n,)``.
        bits: The bits of each row according to the tables, float64 ``(n,)``.
        clusters: Each row's cluster, int64 ``(n,)``.
    """

    levels: np.ndarray
    classes: np.ndarray
    errors: np.ndarray
    bits: np.ndarray
    clusters: np.ndarray


@dataclass(frozen=True)
class Quantizer:
    """The axes, tables and classes with which rows are coded.

    Attributes:
        settings: The settings.
        mean: float32 ``(D,)``.
        reflections: The axes.
        kept: The axes that are coded, bool ``(D,)``; T is their number.
        projection: Takes centred rows to coordinates, float32 ``(D, T)``.
        centre_steps: float32 ``(T,)``; see ``Centres``.
        centre_integers: The centres, int64 ``(C, T)``; a single one of zeros for the mean alone.
        axis_scales: int32 ``(T,)``, numbers in the whole grid.
        scales: Tables for the whole grid.
        class_offsets: int32 ``(R,)``.
        class_steps: The step's factor of each class as an exponent of ``RATIO``, int32 ``(R,)``.
        class_frequencies: uint16 ``(R,)``.
        basis: The mean, the centres and the axes before rounding; None if the quantizer was read
            from a file.
    """

    settings: Settings
    mean: np.ndarray
    reflections: RiceRows
    kept: np.ndarray
    projection: np.ndarray
    centre_steps: np.ndarray
    centre_integers: np.ndarray
    axis_scales: np.ndarray
    scales: Scales
    class_offsets: np.ndarray
    class_steps: np.ndarray
    class_frequencies: np.ndarray
    basis: Basis | None = None

    @classmethod
    def of_residual(cls, residual: Residual, step: float | None = None) -> "Quantizer":
        """Returns the quantizer of a table's stage, for coding more rows.

        Args:
            residual: The stage.
            step: The step of a row of weight 1; None: the step of most of the table's rows.
        """
        tables, stream, centres = residual.tables, residual.stream, residual.centres
        steps, which = np.unique(tables.class_steps.astype(np.float64), return_inverse=True)
        if step is None:
            step = float(steps[np.bincount(which, tables.class_frequencies).argmax()])
        exponents = np.rint(np.log(steps / step) / math.log(RATIO)).astype(np.int32)
        kept = tables.axis_scales != LEFT_OUT
        centre_steps = np.ones(residual.num_axes, np.float32)
        integers = np.zeros((1, residual.num_axes), np.int64)
        if centres is not None:
            centre_steps = centres.steps
            rows = centres.integers.read([1 << centres.bits] * residual.num_axes)
            integers = np.array(rows).T
        return cls(
            Settings(
                step, state_bits=residual.state_bits, block_rows=stream.block_rows,
                cluster_bits=0 if centres is None else centres.bits,
            ),
            residual.mean, residual.reflections, kept, np.ascontiguousarray(residual.axes.T),
            centre_steps, integers, tables.axis_scales[kept].astype(np.int32),
            Scales(tables.points, tables.frequencies, tables.shifts.astype(np.int64)),
            tables.class_offsets.astype(np.int32), exponents[which], tables.class_frequencies,
        )  # fmt: skip

    def coordinates(self, rows: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the coordinates of rows ``(n, D)`` along the axes, relative to their centres.

        Returns:
            float32 ``(n, T)``, and each row's cluster, int64 ``(n,)``.
        """
        coordinates = (rows - self.mean) @ self.projection
        if len(self.centre_integers) == 1:
            return coordinates, np.zeros(len(rows), np.int64)
        centres = self.centre_integers.astype(np.float32) * self.centre_steps
        clusters, _ = nearest(coordinates, centres, threads)
        return coordinates - centres[clusters], clusters

    def steps_of(self, classes: np.ndarray) -> np.ndarray:
        """Returns the steps of rows of these classes, float32."""
        return (self.settings.step * RATIO ** self.class_steps[classes].astype(np.float64)).astype(
            np.float32
        )

    def code(self, rows: np.ndarray, weights: np.ndarray | None, engine: Engine) -> Coded:
        """Codes rows.

        Args:
            rows: float32 ``(n, D)``.
            weights: The weight of each, ``(n,)``; None: all 1.
            engine: The engine to compute with.
        """
        exponents = step_exponents(weights, len(rows))
        known = np.unique(self.class_steps)
        exponents = known[np.abs(exponents[:, None] - known).argmin(axis=1)]
        steps = self.settings.step * RATIO ** exponents.astype(np.float64)
        coordinates, clusters = self.coordinates(rows, engine.threads)
        np.divide(coordinates, steps[:, None], out=coordinates, casting="same_kind")
        classes = self._classes(coordinates, exponents, engine)
        return self._walk(coordinates, classes, steps, clusters, engine)[0]

    def _classes(self, sizes: np.ndarray, exponents: np.ndarray, engine: Engine) -> np.ndarray:
        largest = max(float(sizes.max()), -float(sizes.min()))
        look_up = self.scales.cost_of_sizes(self.settings.cost_of_a_bit, largest)
        fees = -np.log2(self.class_frequencies / 4096) * self.settings.cost_of_a_bit
        classes = np.zeros(len(sizes), np.int64)
        for exponent in np.unique(exponents):
            offered = np.flatnonzero(self.class_steps == exponent)
            here = np.flatnonzero(exponents == exponent)
            chosen = engine.choose_classes(
                np.ascontiguousarray(sizes[here]), self.axis_scales, self.class_offsets[offered],
                fees[offered].astype(np.float32), look_up,
            )  # fmt: skip
            classes[here] = offered[chosen]
        return classes

    def _walk(
        self,
        sizes: np.ndarray,
        classes: np.ndarray,
        steps: np.ndarray,
        clusters: np.ndarray,
        engine: Engine,
    ) -> tuple[Coded, Counted]:
        largest = max(float(sizes.max()), -float(sizes.min()))
        if largest > _LARGEST_SIZE:
            raise InputError(
                f"a row is {largest:,.0f} quantization steps long; wanted at most "
                f"{_LARGEST_SIZE:,.0f}: ask for lower quality or fewer bits, have errors measured "
                "relative to rows' lengths (--adaptive), or leave out rows that are much longer "
                "than the others"
            )
        offsets = self.class_offsets[classes].astype(np.int32)
        levels = engine.walk(
            sizes, offsets, self.axis_scales, self.scales.tables, self.settings.cost_of_a_bit,
            trellis_code(self.settings.state_bits),
        )  # fmt: skip
        counted = engine.count(
            sizes, levels, offsets, self.axis_scales, self.scales.tables,
            trellis_code(self.settings.state_bits),
        )  # fmt: skip
        bits = counted.bits - np.log2(self.class_frequencies[classes] / 4096)
        bits += self.settings.cluster_bits or 0
        errors = counted.errors * steps**2
        return Coded(levels, classes.astype(np.uint8), errors, bits, clusters), counted

    def to_residual(self, stream: Stream, clusters: np.ndarray) -> Residual:
        """Returns the stage that decodes a stream, with only the scales that are used.

        Args:
            stream: All rows.
            clusters: Each row's cluster, ``(N,)``.
        """
        used = self.axis_scales[:, None] + self.class_offsets
        first = int(np.clip(used.min(), 0, MOST_SCALES - 1))
        last = int(np.clip(used.max(), 0, MOST_SCALES - 1))
        axis_scales = np.full(len(self.kept), LEFT_OUT, np.int16)
        axis_scales[self.kept] = self.axis_scales - first
        tables = EntropyTables(
            self.scales.frequencies[first : last + 1],
            self.scales.points[first : last + 1],
            self.scales.shifts[first : last + 1].astype(np.uint8),
            self.class_frequencies,
            self.class_offsets.astype(np.int16),
            self.steps_of(np.arange(len(self.class_offsets))),
            axis_scales,
        )
        centres, bits = None, self.settings.cluster_bits or 0
        if bits:
            integers = RiceRows.of(list(self.centre_integers.T))
            packed = Centres.pack(clusters, bits)
            centres = Centres(self.centre_steps, integers, bits, packed)
        return Residual(
            self.mean, self.reflections, tables, self.settings.state_bits, stream, centres
        )

    def write(self, coded: Coded, engine: Engine) -> tuple[np.ndarray, np.ndarray]:
        """Returns rows as bytes, and the length of each block, int64."""
        return engine.write(
            coded.levels, coded.classes, self.settings.block_rows,
            Reading(self.axis_scales, self.class_offsets, self.scales.shifts),
            trellis_code(self.settings.state_bits), self.scales.frequencies,
            self.class_frequencies,
        )  # fmt: skip


def step_exponents(weights: np.ndarray | None, num_rows: int) -> np.ndarray:
    """Returns the exponents of ``RATIO`` of the rows' steps, int32 ``(n,)``.

    The weighted error is least if a row's squared error is inversely proportional to its weight:
    reverse water-filling over rows (Cover and Thomas, "Elements of Information Theory", 10.3.3).
    Exponents are even and at most 24 from that of a row of weight 1, because a few row classes
    suffice.
    """
    if weights is None:
        return np.zeros(num_rows, np.int32)
    exponents = -0.5 * np.log(np.maximum(weights, np.finfo(float).tiny)) / math.log(RATIO)
    return 2 * np.rint(exponents.clip(-_MOST_EXPONENT, _MOST_EXPONENT) / 2).astype(np.int32)


@one_blas_thread
def most_steps(rows: np.ndarray, weights: np.ndarray | None, basis: Basis, threads: int) -> float:
    """Returns the largest distance of a row from its centre, in steps if weight 1 has step 1.

    Args:
        rows: float32 ``(n, D)``.
        weights: The weight of each, ``(n,)``; None: all 1.
        basis: The quantizer's basis.
        threads: The number of threads.
    """
    centred = rows - basis.mean
    clusters, _ = nearest(centred, basis.centres, threads)
    left = (centred - basis.centres[clusters]).astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", left, left))
    return float((lengths / RATIO ** step_exponents(weights, len(rows)).astype(float)).max())


def _most_used(classes: np.ndarray, class_steps: np.ndarray) -> np.ndarray:
    """Returns the most frequent classes, as many as a byte can number; some of each step."""
    counts = np.bincount(classes, minlength=len(class_steps))
    each = _MOST_CLASSES // len(np.unique(class_steps))
    chosen = []
    for step in np.unique(class_steps):
        own = np.flatnonzero(class_steps == step)
        order = own[np.argsort(-counts[own], kind="stable")][:each]
        chosen.append(order[counts[order] > 0] if counts[order].any() else order[:1])
    return np.sort(np.concatenate(chosen))


@one_blas_thread
def fit(
    rows: np.ndarray,
    weights: np.ndarray | None,
    settings: Settings,
    engine: Engine,
    num_rows: int | None = None,
    basis: Basis | None = None,
) -> tuple[Quantizer, Coded]:
    """Fits a quantizer to rows; returns it together with some of the rows, coded.

    Args:
        rows: float32 ``(n, D)``.
        weights: The weight of each, ``(n,)``; None: all 1.
        settings: The quantizer's settings.
        engine: The engine to compute with.
        num_rows: N, the rows that will share the axes' bits; n by default.
        basis: The basis of a quantizer that was fitted to the same rows with a similar step; None:
            it is fitted here.
    """
    num_rows = num_rows or len(rows)
    cluster_bits = settings.cluster_bits
    if cluster_bits is None:
        cluster_bits = cluster_bits_for(num_rows, len(rows))
        settings = replace(settings, cluster_bits=cluster_bits)
    exponents = step_exponents(weights, len(rows))
    row_steps = settings.step * RATIO ** exponents.astype(np.float64)
    distortion = _DISTORTION * float(np.square(row_steps).mean())
    if basis is None:
        basis = fit_basis(rows, weights, cluster_bits, distortion, num_rows, engine.threads)
    squares, count = basis.squares, len(basis.centres)
    least = _LEAST_AXIS * row_steps.min()
    axes = axes_of(basis.reflections, rows.shape[1])
    centres = basis.centres @ axes.T
    # An axis is left out if neither rows nor centres extend far along it.
    kept = (squares > least**2) | (np.abs(centres).max(axis=0) > least)
    kept |= squares == squares.max()
    squares, centres = squares[kept], centres[:, kept].astype(np.float64)
    projection = np.ascontiguousarray(axes[kept].T)
    # Rounding a centre adds as much error as the spread of its rows adds to the centre itself.
    centre_steps = np.sqrt(12 * np.maximum(squares, distortion) * count / num_rows)
    centre_steps = centre_steps.astype(np.float32)
    in_steps = centres / np.where(centre_steps > 0, centre_steps, 1)
    centre_integers = (np.sign(in_steps) * np.floor(np.abs(in_steps) + _ROUND_FROM)).astype(int)
    # The more coordinates a row has, the better they show its size and the more finer classes pay.
    between = int(np.clip(round(_CLASSES_APART / math.sqrt(len(squares))), 1, 4))
    gains = np.arange(-_REACH, _REACH + 1, between)
    steps = np.unique(exponents)
    class_steps = np.repeat(steps, len(gains)).astype(np.int32)
    class_offsets = (np.tile(gains, len(steps)) - class_steps).astype(np.int32)
    quantizer = Quantizer(
        settings, basis.mean, basis.reflections, kept, projection, centre_steps, centre_integers,
        scale_of(np.sqrt(squares) / settings.step).astype(np.int32), Scales.gaussian(),
        class_offsets, class_steps, in_slots(np.ones(len(class_steps))), basis,
    )  # fmt: skip
    fitted = spaced_rows(min(_FITTED_ROWS, len(rows)), len(rows))
    exponents, row_steps = exponents[fitted], row_steps[fitted]
    coordinates, clusters = quantizer.coordinates(rows[fitted], engine.threads)
    in_steps = (coordinates / row_steps[:, None]).astype(np.float32)
    for _ in range(_ROUNDS):
        classes = quantizer._classes(in_steps, exponents, engine)
        used = _most_used(classes, quantizer.class_steps)
        quantizer = replace(
            quantizer,
            class_offsets=quantizer.class_offsets[used],
            class_steps=quantizer.class_steps[used],
            class_frequencies=in_slots(np.bincount(classes, minlength=used[-1] + 1)[used] + 1.0),
        )
        if not np.isin(classes, used).all():
            classes = quantizer._classes(in_steps, exponents, engine)
        else:
            classes = np.searchsorted(used, classes)
        coded, counted = quantizer._walk(in_steps, classes, row_steps, clusters, engine)
        quantizer = replace(
            quantizer,
            scales=quantizer.scales.fitted(counted.counts, counted.sums, counted.numbers),
        )
    return quantizer, coded
