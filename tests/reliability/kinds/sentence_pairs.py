"""Pairs of sentences and people's scores, in CSV."""

import math
from pathlib import Path

from nncompress.evaluate.sentence_similarity import SentencePair, read_sentence_pairs
from tests.reliability.fuzzing import Kind

TEXT = 'A cat sits.,"A cat, sitting.",4.5\n"He said ""no"".","two\nlines",0\nä,b,2.5e0\n'


def seeds(folder: Path) -> list[Path]:
    """Writes pairs, and the same with a heading, a byte-order mark and Windows line ends."""
    paths = [folder / "x.csv", folder / "windows.csv"]
    paths[0].write_bytes(TEXT.encode())
    paths[1].write_bytes(f"\ufeffone,other,score\n{TEXT}".replace("\n", "\r\n").encode())
    return paths


def use(path: Path) -> list[SentencePair]:
    """Reads pairs."""
    pairs = read_sentence_pairs(path)
    assert len(pairs) > 1
    assert all(math.isfinite(score) for _, _, score in pairs)
    return pairs


KIND = Kind("sentence_pairs", seeds, use)
