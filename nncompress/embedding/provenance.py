"""The facts that a table keeps about how it was made."""

from collections.abc import Mapping

# The name of the settings for encoding more rows.
ENCODING = "encoding"
# Facts that hold only for the rows that were measured.
_MEASURES = (
    "loss", "mean_distance", "mean_cosine", "source_shape", "recall", "target", "curve",
    "adaptive", "matched_rows", "error_by_frequency", "error_of_rows",
    "error_by_frequency_without_frequencies", "error_of_rows_without_frequencies",
)  # fmt: skip


def facts_of_others(provenance: Mapping[str, object]) -> dict[str, object]:
    """Returns the facts that also hold for other rows with the same codebook."""
    return {name: fact for name, fact in provenance.items() if name not in _MEASURES}
