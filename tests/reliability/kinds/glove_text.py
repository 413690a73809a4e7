"""Word vectors in text: GloVe's and word2vec's."""

from pathlib import Path

from tests.reliability.fuzzing import Kind
from tests.reliability.using import text_of, use_table


def seeds(folder: Path) -> list[Path]:
    """Writes both, and one with a byte-order mark and Windows line ends."""
    contents = {
        "glove.txt": text_of(),
        "word2vec.vec": text_of(header=True),
        "windows.txt": b"\xef\xbb\xbf" + text_of().replace(b"\n", b"\r\n"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


KIND = Kind("glove_text", seeds, use_table)
