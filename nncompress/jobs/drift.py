"""A warning for rows that a model fits markedly worse than earlier ones."""

import warnings
from collections.abc import Sequence

from nncompress.jobs.block_encoder import Sums

# Rows fit worse if their error is this many times that of the earlier ones.
ALARM = 1.25


def warn_of_drift(new: Sequence[Sums], known: float | None, what: str) -> None:
    """Warns if new rows have a markedly larger error than earlier ones.

    An error is the mean squared distance divided by the rows' spread about the model's centre, so
    it does not grow just because rows are larger.

    Args:
        new: The totals of the new rows.
        known: The error of the earlier rows; None if it is unknown.
        what: What to call the earlier rows in the message.
    """
    if not new or not known:
        return
    loss, spread = (sum(getattr(sums, name) for sums in new) for name in ("loss", "spread"))
    error = loss / spread if spread else 0.0
    if error > ALARM * known:
        warnings.warn(
            f"the rows fit the model worse than {what}: their error is {error:.4g} of their "
            f"spread, compared with {known:.4g} ({error / known:.2f} times as much); learn a "
            "model on rows like these (nncompress learn)",
            stacklevel=3,
        )
