"""The vocabulary's sections, a file each, so that damage gets past the sums of a .nnc file."""

from pathlib import Path

import numpy as np

from nncompress.embedding.vocabulary import SECTIONS, Vocabulary
from tests.reliability.fuzzing import Kind
from tests.reliability.using import WORDS, use_vocabulary

_CONTROL = ["\x00", "a\x1fb", "a\x1f", "é\x01", "\n"]


def seeds(folder: Path) -> list[Path]:
    """Writes folders that are named by the numbers of words and rows."""
    lists = [
        [f"w{i * 7919 % 1000}" for i in range(100)],
        [*WORDS, *_CONTROL, "x" * 5_000, "x" * 4_999 + "y"],
        ["one"],
    ]
    paths = []
    for words in lists:
        num_rows = len(words) + 3
        paths.append(folder / f"{len(words)} of {num_rows}")
        paths[-1].mkdir()
        for name, section in Vocabulary.of_words(words, num_rows).sections.items():
            (paths[-1] / name).write_bytes(section.tobytes())
    return paths


def use(path: Path) -> object:
    """Opens the sections and looks words up in every way."""
    num_words, num_rows = map(int, path.name.split(" of "))
    sections = {}
    for name in SECTIONS:
        dtype = np.dtype("<u4" if name == "offsets" else "u1")
        data = (path / name).read_bytes()
        sections[name] = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    vocabulary = Vocabulary(sections, num_words, num_rows)
    use_vocabulary(vocabulary, num_rows, ["", "the", "w7", "x" * 5_000, "\U0010ffff"])
    return vocabulary


KIND = Kind("vocabulary", seeds, use)
