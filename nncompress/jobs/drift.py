"""An alarm for rows that a model fits markedly worse than those before."""

import warnings
from collections.abc import Sequence

from nncompress.jobs.block_encoder import Sums

# Rows are said to fit worse where their error is so many times what it was.
ALARM = 1.25


def warn_of_drift(new: Sequence[Sums], known: float | None, what: str) -> None:
    """Warns where new rows have a markedly larger error than others.

    An error is a mean squared distance over the rows' spread about the model's centre, so that
    rows that are merely larger than others do not count.

    Args:
        new: What encoding the new rows came to.
        known: The error of the others; None where that is not known.
        what: What those are, for the message.
    """
    if not new or not known:
        return
    loss, spread = (sum(getattr(sums, name) for sums in new) for name in ("loss", "spread"))
    error = loss / spread if spread else 0.0
    if error > ALARM * known:
        warnings.warn(
            f"the rows fit the model worse than {what}: their error is {error:.4g} of their "
            f"spread, and {known:.4g} there ({error / known:.2f} times); learn a model on rows "
            "like these (nncompress learn)",
            stacklevel=3,
        )
