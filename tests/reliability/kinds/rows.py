"""Rows by ranges of ``.npy`` and safetensors files."""

from pathlib import Path

from tests.reliability.fuzzing import Kind
from tests.reliability.kinds import npy, safetensors
from tests.reliability.using import use_rows


def seeds(directory: Path) -> list[Path]:
    """Writes matrices of every kind."""
    return [*npy.seeds(directory), *safetensors.seeds(directory)]


KIND = Kind("rows", seeds, use_rows)
