"""Writing the curve that a residual stage was chosen from, as a picture or as numbers."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from nncompress.errors import InputError
from nncompress.evaluate.curve import CurvePoint
from nncompress.formats.files import atomic_path, check_output

_PICTURES = (".png", ".pdf", ".svg")


def check_curve(
    path: str | os.PathLike | None, has_residual: bool, inputs: Iterable[object]
) -> None:
    """Refuses a file that a curve cannot be written to.

    Args:
        path: The file; None for none.
        has_residual: Whether there is a residual stage, and hence a curve.
        inputs: Files that are read.

    Raises:
        InputError: There is no curve, or the file is an input, cannot be written, or has an
            unsupported ending.
    """
    if path is None:
        return
    if not has_residual:
        raise InputError(
            "a curve (--curve) shows how a residual stage was chosen, but there is none; leave it "
            "out, or add --residual-bits"
        )
    if Path(path).suffix not in (*_PICTURES, ".json"):
        raise InputError(f"{path} does not end in .png, .pdf, .svg or .json")
    check_output(path, inputs)


def write_curve(path: str | os.PathLike, points: Sequence[CurvePoint], chosen: CurvePoint) -> None:
    """Writes a curve.

    Args:
        path: A picture, or a ``.json`` file with the points, depending on the ending.
        points: The measured points, by size.
        chosen: The chosen point.
    """
    if Path(path).suffix in _PICTURES:
        from nncompress.evaluate.pictures import plot_curve

        plot_curve(path, points, chosen)
        return
    facts = {"points": [asdict(point) for point in points], "chosen": asdict(chosen)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
