"""A table's words and n-grams in the ``extras`` of its file, checked on reading.

``subwords`` is JSON in UTF-8: how n-grams are hashed to buckets, and which rows belong to buckets.
``subwords.low_bits``, ``.low`` and ``.high`` are the gaps between the buckets that have a row, in
Rice's code; they are absent if all buckets or none have one. A classifier has
``classifier.labels``, one label per line, ``classifier.counts`` and ``classifier.output``.
"""

import json
from collections.abc import Mapping

import numpy as np

from nncompress.embedding.rice import RiceRows
from nncompress.embedding.sections import section
from nncompress.errors import FormatError
from nncompress.sources.ngrams import KINDS, MOST_HASHES, Ngrams
from nncompress.sources.subword_rows import MOST_COUNT, Classifier, SubwordRows, odd_count

SUBWORDS = "subwords"
_KEPT = ("low_bits", "low", "high")
_LABELS, _COUNTS, _OUTPUT = "classifier.labels", "classifier.counts", "classifier.output"
NAMES = {SUBWORDS, *(f"{SUBWORDS}.{name}" for name in _KEPT), _LABELS, _COUNTS, _OUTPUT}
_LOSSES = ("hs", "ns", "softmax", "ova")
_NUMBERS = {  # by name, with minimum and maximum
    "min_n": (0, 1 << 10),
    "max_n": (0, 1 << 10),
    "num_buckets": (0, 1 << 31),
    "hash_count": (1, MOST_HASHES),
    "seed": (0, (1 << 32) - 1),
    "num_words": (0, 1 << 40),
    "num_kept": (0, 1 << 31),
}


def to_extras(rows: SubwordRows) -> dict[str, np.ndarray]:
    """Returns the arrays in which a file keeps the rows' meaning."""
    ngrams, kept = rows.ngrams, rows.kept
    facts: dict[str, object] = {
        **{name: getattr(ngrams, name) for name in ("kind", "begin", "end")},
        **{name: getattr(ngrams, name, None) for name in _NUMBERS},
        "num_words": rows.num_words,
        "num_kept": ngrams.num_buckets if kept is None else len(kept),
        "composed": rows.composed,
    }
    extras: dict[str, np.ndarray] = {}
    if kept is not None and 0 < len(kept) < ngrams.num_buckets:
        coded = RiceRows.of([_folded(np.diff(kept, prepend=-1) - 1)])
        extras |= {f"{SUBWORDS}.{name}": getattr(coded, name) for name in _KEPT}
    if rows.classifier is not None:
        facts |= {"loss": rows.classifier.loss, "word_ngrams": rows.classifier.word_ngrams}
        extras[_LABELS] = _bytes("\n".join(rows.classifier.labels))
        extras[_COUNTS] = rows.classifier.counts.astype("<i8")
        extras[_OUTPUT] = rows.classifier.output.astype("<f4")
    return {SUBWORDS: _bytes(json.dumps(facts, sort_keys=True)), **extras}


def from_extras(extras: Mapping[str, np.ndarray], num_rows: int, dim: int) -> SubwordRows | None:
    """Returns the meaning of a file's rows; None if they are not words and n-grams.

    Args:
        extras: The file's arrays, by name.
        num_rows: N of its table.
        dim: D.

    Raises:
        FormatError: Something is missing, or does not match the rest.
    """
    if SUBWORDS not in extras:
        return None
    facts = _facts(section(extras, SUBWORDS, (None,), ("u1",)))
    numbers = {name: _number(facts, name, *bounds) for name, bounds in _NUMBERS.items()}
    num_words, num_kept = numbers.pop("num_words"), numbers.pop("num_kept")
    kind, begin, end = (_text(facts, name) for name in ("kind", "begin", "end"))
    ngrams = Ngrams(kind, begin=begin, end=end, **numbers)
    if ngrams.kind not in KINDS:
        raise FormatError(f"n-grams of kind {ngrams.kind[:40]!r}; wanted {' or '.join(KINDS)}")
    if num_kept > ngrams.num_buckets or num_words + num_kept > num_rows:
        raise FormatError(
            f"{num_words} words and {num_kept} of {ngrams.num_buckets} buckets in {num_rows} rows"
        )
    kept = None if num_kept == ngrams.num_buckets else _kept(extras, num_kept, ngrams.num_buckets)
    classifier = _classifier(extras, facts, dim) if _OUTPUT in extras else None
    return SubwordRows(ngrams, num_words, kept, facts.get("composed") is True, classifier)


def _kept(extras: Mapping[str, np.ndarray], count: int, num_buckets: int) -> np.ndarray:
    if not count:
        return np.empty(0, np.int64)
    parts = [section(extras, f"{SUBWORDS}.{name}", (None,), ("u1",)) for name in _KEPT]
    (folded,) = RiceRows(*parts).read([count])
    kept = np.cumsum(_unfolded(folded) + 1) - 1
    if kept[-1] >= num_buckets:
        raise FormatError(f"a row for bucket {kept[-1]} of {num_buckets}")
    return kept


def _classifier(extras: Mapping[str, np.ndarray], facts: dict, dim: int) -> Classifier:
    try:
        text = section(extras, _LABELS, (None,), ("u1",)).tobytes().decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError("the labels are not UTF-8") from None
    labels = text.split("\n")
    counts = section(extras, _COUNTS, (len(labels),), ("i8",))
    output = section(extras, _OUTPUT, (len(labels), dim), ("f4",))
    if (bad := odd_count(counts)) is not None:
        raise FormatError(f"the count of a label is {bad}; wanted 0 to {MOST_COUNT:,}")
    loss = _text(facts, "loss")
    if loss not in _LOSSES:
        raise FormatError(f"a classifier's loss is {loss[:40]!r}; wanted {', '.join(_LOSSES)}")
    word_ngrams = _number(facts, "word_ngrams", -(1 << 31), 1 << 31)
    return Classifier(loss, word_ngrams, labels, counts, output)


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8"), np.uint8)


def _facts(array: np.ndarray) -> dict:
    try:
        facts = json.loads(array.tobytes())
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise FormatError(f"{SUBWORDS} is not a JSON object")
    return facts


def _number(facts: Mapping[str, object], name: str, least: int, most: int) -> int:
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise FormatError(f"{name} of {SUBWORDS} is {value!r:.40}; wanted {least} to {most}")
    return value


def _text(facts: Mapping[str, object], name: str) -> str:
    value = facts.get(name)
    if not isinstance(value, str):
        raise FormatError(f"{name} of {SUBWORDS} is {value!r:.40}; wanted text")
    return value


def _folded(gaps: np.ndarray) -> np.ndarray:
    """Returns gaps as signed integers, so that Rice's code wastes no bit on their sign."""
    return np.where(gaps & 1, -(gaps >> 1) - 1, gaps >> 1)


def _unfolded(integers: np.ndarray) -> np.ndarray:
    return np.where(integers < 0, -2 * integers - 1, 2 * integers)
