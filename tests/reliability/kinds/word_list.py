"""Lists of words: a token a line."""

import warnings
from pathlib import Path

from nncompress.embedding.vocabulary import Vocabulary
from nncompress.sources import read_vocabulary, write_vocabulary
from tests.reliability.fuzzing import Kind
from tests.reliability.using import WORDS, use_vocabulary


def seeds(folder: Path) -> list[Path]:
    """Writes a list of this project's, and one with a byte-order mark and Windows line ends."""
    paths = [folder / "x.word", folder / "windows.word"]
    write_vocabulary(paths[0], WORDS)
    paths[1].write_bytes("\ufeff{}".format("".join(f"{word}\r\n" for word in WORDS)).encode())
    return paths


def use(path: Path) -> object:
    """Reads a list, writes it, reads that, and makes a vocabulary of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        words = read_vocabulary(path)
    again = path.with_name("again.word")
    write_vocabulary(again, words)
    assert read_vocabulary(again) == words
    num_rows = len(words) + 1
    use_vocabulary(Vocabulary.of_words(words, num_rows), num_rows, words[:9])
    return words


KIND = Kind("word_list", seeds, use)
