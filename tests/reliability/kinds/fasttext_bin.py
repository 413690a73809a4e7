"""fastText's models: of words, of labels, and floret's."""

from pathlib import Path

from tests.reliability.fuzzing import Kind
from tests.reliability.using import use_table
from tests.sources.fasttext_files import HS, small_model


def seeds(folder: Path) -> list[Path]:
    """Writes a model of each kind."""
    several = {
        "words": small_model(),
        "labels": small_model(labels=(b"__label__a", b"__label__b"), loss=HS, word_ngrams=2),
        "floret": small_model(floret=2),
    }
    for name, (data, _, _) in several.items():
        (folder / f"{name}.bin").write_bytes(data)
    return [folder / f"{name}.bin" for name in several]


KIND = Kind("fasttext_bin", seeds, use_table)
