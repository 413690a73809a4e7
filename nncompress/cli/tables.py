"""Opening compressed tables for commands."""

import shlex
from pathlib import Path

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.sources.foreign import START_BYTES, ending_of, problem_of

_COMPRESSED = (".nnc", ".safetensors")


def load_table(path: Path, verify: bool = False) -> CompressedEmbedding:
    """Opens a compressed table.

    Args:
        path: Its file, or its directory of shards.
        verify: Whether to read all of it and compare SHA-256 sums.

    Raises:
        InputError: There is no such file, or it is another kind of file.
    """
    refuse_other_files(path)
    return CompressedEmbedding.load(path, verify=verify)


def refuse_other_files(path: Path) -> None:
    """Refuses a file that is by its first bytes no compressed table, and says how to make one.

    Raises:
        InputError: It is such a file.
    """
    if not path.is_file() or path.suffix == ".nnc":
        return
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    ending = ending_of(start)
    if ending in _COMPRESSED:
        return
    problem = problem_of(path, start)
    if problem is None:
        output = path.with_suffix(".nnc").name
        problem = (
            "is no compressed table (.nnc); make one of it with: nncompress compress "
            f"{shlex.quote(str(path))} {shlex.quote(output)}"
        )
    raise InputError(f"{path} {problem}")
