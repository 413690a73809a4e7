"""Words on the command line that a table does not have."""

from collections.abc import Iterable, Mapping

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.keys import Key, MissingKeys
from nncompress.embedding.spelling import did_you_mean
from nncompress.errors import InputError

# For each missing key, the line about it and the words that may have been meant.
Missing = Mapping[Key, tuple[str, list[str]]]


class MissingWords(InputError):
    """Words that a table does not have.

    Args:
        missing: What ``missing_words`` returns.
        is_told: Whether the lines are in the results too, which have been printed as JSON.

    Attributes:
        lines: A line for each word.
        is_told: As given.
    """

    def __init__(self, missing: Missing, is_told: bool = False) -> None:
        self.lines = [line for line, _ in missing.values()]
        self.is_told = is_told
        super().__init__("; ".join(self.lines))


def missing_words(embedding: CompressedEmbedding, keys: Iterable[Key]) -> Missing:
    """Finds the keys that a table does not have, and the words that may have been meant.

    Spellings are looked up for the first ten missing words: a list may have thousands.

    Args:
        embedding: The table.
        keys: Words, or row numbers of a table without words.
    """
    missing = [key for key in keys if key not in embedding]
    if not missing:
        return {}
    try:
        embedding[missing]
    except MissingKeys as error:
        suggestions = error.suggestions()
    kinds = "words of this table"
    if not embedding.has_words:
        kinds = "row numbers of this table, which begin at 0"
    found = {}
    for key in missing:
        meant = suggestions.get(str(key), [])
        line = f"{key!r}: not among the {len(embedding):,} {kinds}"
        parts = str(key).split()
        if len(parts) > 1 and all(part in embedding for part in parts):
            line += "; give words as separate arguments"
        found[key] = line + did_you_mean({str(key): meant}), meant
    return found
