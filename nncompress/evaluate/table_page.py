"""The page of a compressed table."""

import os

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.table_directory import size_of
from nncompress.evaluate.curve import HEADER_BYTES
from nncompress.evaluate.evaluation import Evaluation
from nncompress.evaluate.page import Page, curve_of, is_point, write_page
from nncompress.sources.tables import name_of


def write_table_page(
    path: str | os.PathLike,
    original: str,
    compressed: str | os.PathLike,
    embedding: CompressedEmbedding,
    evaluation: Evaluation,
    shares: np.ndarray | None = None,
) -> None:
    """Writes the page of a compressed table.

    Args:
        path: The HTML file.
        original: The path of the original table.
        compressed: The path of the compressed one.
        embedding: The compressed table.
        evaluation: The measurements.
        shares: The probability of each row, ``(N,)``; None: rows are in order of frequency.
    """
    table, facts = embedding.table, embedding.provenance
    num_bytes, num_rows = size_of(compressed), table.num_rows
    shared = table.shared_bytes + HEADER_BYTES
    chosen = {
        "bytes_per_row": table.row_bytes + shared / num_rows,
        "distance": facts.get("mean_distance"),
        "cosine": facts.get("mean_cosine"),
        "recall": facts.get("recall"),
    }
    page = Page(
        name_of(str(original)),
        name_of(str(compressed)),
        {
            "rows": f"{num_rows:,} of {table.dim:,} numbers",
            "size": f"{num_bytes:,} bytes with words; the rows alone take "
            f"{4 * num_rows * table.dim:,} in float32",
            "bits per dimension": f"{8 * chosen['bytes_per_row'] / table.dim:.3g} without words",
        },
        evaluation.report,
        evaluation.rows,
        embedding.index_to_key,
        shares,
        curve_of(facts),
        chosen if is_point(chosen) else None,
    )
    write_page(path, page)
