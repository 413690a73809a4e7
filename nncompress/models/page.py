"""The page of a compressed model."""

import os
from pathlib import Path

from nncompress.evaluate.page import Page, write_page
from nncompress.models.evaluation import ModelEvaluation
from nncompress.models.folder_files import folder_bytes
from nncompress.sources.tables import name_of


def write_model_page(
    path: str | os.PathLike,
    original: str | os.PathLike,
    compressed: str | os.PathLike,
    evaluation: ModelEvaluation,
) -> None:
    """Writes the page of a compressed model.

    Args:
        path: The HTML file.
        original: The original model's folder.
        compressed: The compressed model's folder.
        evaluation: The measurements.
    """
    sizes = [folder_bytes(Path(folder)) for folder in (compressed, original)]
    names = (name_of(os.path.abspath(folder)) for folder in (original, compressed))
    page = Page(
        *names,
        {
            "size": "{:,} bytes of {:,}, all files".format(*sizes),
            "rows": f"{len(evaluation.rows.squares):,} token vectors",
        },
        evaluation.report,
        evaluation.rows,
        evaluation.words,
    )
    write_page(path, page)
