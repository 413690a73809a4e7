"""Growing: residual codebooks that suit beam search, improved on ever new rows.

Sources: Liu et al., "Improved Residual Vector Quantization for High-dimensional Approximate
Nearest Neighbor Search", 2015 (beam search through residual codebooks); Bottou and Bengio,
"Convergence Properties of the K-Means Algorithms", NIPS 1994 (centres from ever new rows).
"""

import math
from collections.abc import Callable

from nncompress.progress import progress_bar
from nncompress.refinement.residual import residual_start
from nncompress.refinement.room import CODEWORDS_OF_FULL_LENGTH, batch_rows, sample_rows
from nncompress.refinement.rows import CodedRows

# Widths of the beam: even a narrow one shows how to improve a codebook.
_WIDTHS = (8,) * 8 + (16,) * 16
# The shift of each pass's rows from those of the pass before, in spaces between two rows, chosen
# so that no rows recur soon.
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def grow(rows: CodedRows, time_over: Callable[[], float] = lambda: 0.0) -> CodedRows:
    """Finds codebooks of decreasing size by residual quantization, and improves them.

    A pass searches for the codes of a new batch of rows and fits the codebook to them. It reuses
    neither codes nor rows of the pass before: a codebook fitted to the same rows again and again
    overfits them. If a table has only a few more rows than a batch, most rows recur; if it has no
    more, all do.

    Args:
        rows: The rows to take batches from; they stay as they are.
        time_over: Returns the share of the time that has passed; growing ends at 1.

    Returns:
        The last batch, with the codebook.
    """
    num_units, dim = rows.codebook.shape
    widths, size = widths_of(num_units), batch_rows(num_units, dim)
    batch = rows.sample(min(size, sample_rows(dim)), "grown")
    residual_start(batch)
    with progress_bar(len(widths) * min(size, len(rows.matrix)), "Growing codebooks") as bar:
        for number, width in enumerate(widths, 1):
            if time_over() >= 1.0:
                break
            batch = rows.after(batch, size, number * _GOLDEN % 1.0)
            batch.search(width, bar=bar)
    batch.keep()
    return batch


def widths_of(num_units: int) -> list[int]:
    """Returns the beam's width in each pass: fewer, larger passes for more codewords."""
    few = min(1.0, CODEWORDS_OF_FULL_LENGTH / num_units)
    passes = math.ceil(few * len(_WIDTHS))
    return [_WIDTHS[number * len(_WIDTHS) // passes] for number in range(passes)]
