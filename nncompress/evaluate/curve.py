"""The rate-distortion curve of a residual stage: its points and their text form."""

import math
from dataclasses import dataclass

from nncompress.evaluate.distortion import Distortion
from nncompress.evaluate.target import Target

# The most bytes of a file besides its sections: its header with a curve of eight points.
HEADER_BYTES = 4_736
# Distances and shares this small count as zero.
_NOTHING = 1e-30
HEADING = (
    f"{'bits a row':>10} {'bytes a row':>12} {'distance':>10} {'cosine':>8} {'recall@10':>10}"
)


@dataclass(frozen=True)
class CurvePoint:
    """A point of the curve.

    Attributes:
        step: The quantization step of a row of weight 1.
        residual_bits: Mean bits of a row's residual stage, without tables shared by all rows.
        bytes_per_row: Bytes of the whole table per row, counting everything except words.
        loss: Mean of half the squared distance.
        distance: The mean Euclidean distance.
        cosine: The mean cosine.
        recall: The share of the 10 nearest rows that are kept; None if there are too few rows.
    """

    step: float
    residual_bits: float
    bytes_per_row: float
    loss: float
    distance: float
    cosine: float
    recall: float | None

    @property
    def distortion(self) -> Distortion:
        """The means over rows."""
        return Distortion(self.loss, self.distance, self.cosine)

    @property
    def facts(self) -> dict[str, float | None]:
        """The values that are stored in a file, rounded to five digits."""
        names = ("bytes_per_row", "distance", "cosine", "recall")
        values = {name: getattr(self, name) for name in names}
        return {name: y if y is None else float(f"{y:.5g}") for name, y in values.items()}

    def __str__(self) -> str:
        """Returns the point as a line under ``HEADING``."""
        recall = "-" if self.recall is None else f"{self.recall:.4f}"
        return (
            f"{self.residual_bits:>10.1f} {self.bytes_per_row:>12.2f} {self.distance:>10.5g} "
            f"{self.cosine:>8.5f} {recall:>10}"
        )


def reached(target: Target, point: CurvePoint, dim: int) -> float:
    """Returns a point's value of the quantity that a target limits.

    Args:
        target: The target.
        point: The point.
        dim: D.
    """
    if target.name == "bits_per_dim":
        return 8 * point.bytes_per_row / dim
    return getattr(point, target.name)


def badness(target: Target, value: float) -> float:
    """Returns the logarithm of the quantity that a target keeps small.

    This is the size or the distance itself, or 1 minus the cosine or the recall.

    Args:
        target: The target.
        value: A value of the quantity that the target limits.
    """
    lacking = 1 - value if target.name in ("cosine", "recall") else value
    return math.log(max(lacking, _NOTHING))
