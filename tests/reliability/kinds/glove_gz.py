"""Word vectors in text, compressed by gzip before they are damaged, or after."""

import gzip
from pathlib import Path

from tests.reliability.fuzzing import Kind
from tests.reliability.using import text_of, use_table


def seeds(folder: Path) -> list[Path]:
    """Writes compressed text, and text that is compressed when it is used."""
    paths = [folder / "after.txt.gz", folder / "before.txt"]
    paths[0].write_bytes(gzip.compress(text_of(), mtime=0))
    paths[1].write_bytes(text_of(header=True))
    return paths


def use(path: Path) -> object:
    """Reads compressed text."""
    if path.suffix != ".gz":
        packed = path.with_name("packed.txt.gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path = packed
    return use_table(path)


KIND = Kind("glove_gz", seeds, use)
