"""Word vectors in text, compressed by xz."""

import lzma
from pathlib import Path

from tests.reliability.fuzzing import Kind
from tests.reliability.using import text_of, use_table


def seeds(folder: Path) -> list[Path]:
    """Writes one stream, two streams, and the format that came before xz."""
    text = text_of()
    contents = {
        "one.txt.xz": lzma.compress(text),
        "two.txt.xz": lzma.compress(text[:500]) + lzma.compress(text[500:]),
        "old.txt.xz": lzma.compress(text, lzma.FORMAT_ALONE),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


KIND = Kind("xz_text", seeds, use_table)
