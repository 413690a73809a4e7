"""What a table tells of how it was made."""

from collections.abc import Mapping

# What it calls what encoding more rows takes.
ENCODING = "encoding"
# What is true of the rows that were measured alone.
_MEASURES = (
    "loss", "mean_distance", "mean_cosine", "source_shape", "recall", "target", "curve",
    "adaptive", "matched_rows", "error_by_frequency", "error_of_rows",
    "error_by_frequency_without_frequencies", "error_of_rows_without_frequencies",
)  # fmt: skip


def facts_of_others(provenance: Mapping[str, object]) -> dict[str, object]:
    """Returns what is true of other rows with the same codebook too."""
    return {name: fact for name, fact in provenance.items() if name not in _MEASURES}
