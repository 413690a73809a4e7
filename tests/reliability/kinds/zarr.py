"""Vectors in Zarr arrays of both versions."""

from pathlib import Path

import pytest

from tests.reliability.fuzzing import Kind
from tests.reliability.using import ROWS, use_rows

zarr = pytest.importorskip("zarr")


def seeds(directory: Path) -> list[Path]:
    """Writes an array in each version of the format."""
    paths = []
    for version in (2, 3):
        paths.append(directory / f"v{version}.zarr")
        zarr.create_array(paths[-1], data=ROWS, chunks=(20, 3), zarr_format=version)
    return paths


KIND = Kind("zarr", seeds, use_rows)
