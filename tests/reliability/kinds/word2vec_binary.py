"""Word vectors in word2vec's binary format."""

import struct
from pathlib import Path

from tests.reliability.fuzzing import Kind
from tests.reliability.using import ROWS, WORDS, use_table


def seeds(folder: Path) -> list[Path]:
    """Writes a file with line breaks after the rows and one without."""
    paths = [folder / "lines.bin", folder / "packed.bin"]
    for path, end in zip(paths, (b"\n", b""), strict=True):
        rows = [
            word.replace(" ", "_").encode() + b" " + struct.pack("<3f", *row) + end
            for word, row in zip(WORDS, ROWS, strict=True)
        ]
        path.write_bytes(f"{len(rows)} 3\n".encode() + b"".join(rows))
    return paths


KIND = Kind("word2vec_binary", seeds, use_table)
