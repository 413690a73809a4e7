"""Sentence similarity (STS): the agreement of an encoder's similarities with people's.

The measure is that of Cer et al., "SemEval-2017 Task 1: Semantic Textual Similarity", 2017, as
used by MTEB: Spearman's correlation of cosines with people's scores.
"""

import csv
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.evaluate.report import Score
from nncompress.evaluate.similarity_score import cosines_of_pairs, similarity_score
from nncompress.formats.files import what_is
from nncompress.sources.lines import BYTE_ORDER_MARK, decoded, shown

Encode = Callable[[Sequence[str]], np.ndarray]
SentencePair = tuple[str, str, float]


def read_sentence_pairs(path: str | os.PathLike) -> list[SentencePair]:
    """Reads pairs of sentences with people's similarity scores.

    Args:
        path: A CSV file in UTF-8 with two sentences and a number on each line, quoted as usual in
            CSV. The first line may be a heading, whose third field is not a number.

    Raises:
        InputError: The file is missing, a line has another form, or there are fewer than two
            pairs.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path} {what_is(path)}; wanted a CSV file with two sentences and a score per line"
        )
    data = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
    # Line breaks within quotes are preserved.
    lines = (decoded(line, path, i) for i, line in enumerate(data.splitlines(keepends=True), 1))
    reader = csv.reader(lines, strict=True)
    pairs: list[SentencePair] = []
    try:
        for number, fields in enumerate(reader):
            pair = _pair_of(fields)
            if pair is not None:
                pairs.append(pair)
            elif fields and not (number == 0 and _is_heading(fields)):
                raise InputError(
                    f"{path}, line {reader.line_num}: {shown(','.join(fields))}; wanted two "
                    "sentences and a number, separated by commas, with quotes around sentences "
                    "that contain commas"
                )
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}; wanted two sentences and a number as CSV"
        ) from None
    if len(pairs) < 2:
        raise InputError(f"{path} has {len(pairs)} pairs of sentences; wanted at least two")
    return pairs


def _pair_of(fields: list[str]) -> SentencePair | None:
    """Returns the pair on a line, or None if it has another form."""
    if len(fields) != 3:
        return None
    one, other, score = fields
    try:
        number = float(score)
    except ValueError:
        return None
    return (one, other, number) if math.isfinite(number) else None


def _is_heading(fields: list[str]) -> bool:
    """Tells whether a line names three columns; a mistyped score does not count as a name."""
    return len(fields) == 3 and not any(c.isdigit() for c in fields[2])


def sts(
    original: Encode, compressed: Encode, pairs: Sequence[SentencePair], data: str = "pairs"
) -> Score:
    """Correlates the cosines of two encoders' sentence vectors with people's scores.

    Args:
        original: The original encoder: takes sentences and returns their vectors, ``(n, D)``.
        compressed: The compressed encoder.
        pairs: At least two pairs of sentences with scores.
        data: The name of their source.
    """
    ones, others, people = zip(*pairs, strict=True)
    cosines = [cosines_of_pairs(encode(ones), encode(others)) for encode in (original, compressed)]
    return similarity_score("sts", data, people, *cosines)
