"""Vectors in Parquet files, in lists of a fixed length and others."""

from pathlib import Path

import pytest

from tests.reliability.fuzzing import Kind
from tests.reliability.using import ROWS, WORDS, use_rows

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def seeds(directory: Path) -> list[Path]:
    """Writes a file for each kind of lists."""
    kinds = {
        "fixed": pyarrow.list_(pyarrow.float32(), ROWS.shape[1]),
        "lists": pyarrow.list_(pyarrow.float64()),
    }
    for name, kind in kinds.items():
        columns = {"token": WORDS, "vector": pyarrow.array(ROWS.tolist(), kind)}
        parquet.write_table(
            pyarrow.table(columns), directory / f"{name}.parquet", row_group_size=20,
            compression="none",
        )  # fmt: skip
    return [directory / f"{name}.parquet" for name in kinds]


KIND = Kind("parquet", seeds, use_rows)
