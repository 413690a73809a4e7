"""A page of pictures of what a compressed embedding keeps."""

import os

import numpy as np
from matplotlib.figure import Figure

from nncompress.evaluation import NEIGHBOURS, Evaluation
from nncompress.files import atomic_path


def plot_evaluation(path: str | os.PathLike, evaluation: Evaluation, title: str) -> None:
    """Draws the rows' errors, the use of the codewords, and the neighbours that are kept.

    Args:
        path: The picture; its name's ending tells the format.
        evaluation: What was measured.
        title: What stands above.
    """
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    figure.suptitle(title, parse_math=False)
    errors, codes, neighbours = figure.subplots(1, 3)

    errors.hist(evaluation.distances, bins=100, color="tab:blue")
    errors.axvline(evaluation.distortion.distance, color="black", linestyle="--", label="mean")
    errors.set(title="Error", xlabel="Euclidean distance to the original", ylabel="rows")
    errors.legend()

    share = evaluation.usage / evaluation.usage.sum(axis=1, keepdims=True)
    image = codes.imshow(np.sort(share, axis=1)[:, ::-1], aspect="auto", interpolation="nearest")
    figure.colorbar(image, ax=codes, label="share of the rows")
    codes.set(title="Code usage", xlabel="codeword, by how often it is used", ylabel="codebook")

    steps = np.arange(NEIGHBOURS + 2) - 0.5
    neighbours.hist(evaluation.kept * NEIGHBOURS, bins=steps, color="tab:green", rwidth=0.9)
    neighbours.set(
        title=f"Neighbours kept (recall@{NEIGHBOURS} {evaluation.recall:.3f})",
        xlabel=f"of the {NEIGHBOURS} nearest rows",
        ylabel="rows asked",
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
