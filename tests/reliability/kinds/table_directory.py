"""Tables in directories: a manifest, a model and files of rows, of which one is damaged."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.jobs.encoding import EncodingSettings, encode_rows
from nncompress.jobs.output import Output
from nncompress.machine import Machine
from nncompress.sources.open_rows import open_rows
from tests.reliability.fuzzing import Kind
from tests.reliability.kinds import nnc
from tests.reliability.kinds.model import ROWS, models


def seeds(directory: Path) -> list[Path]:
    """Writes a directory for each kind of model; one has words."""
    paths = []
    words = directory / "words"
    words.write_text("".join(f"wörd {i}\n" for i in range(len(ROWS))))
    for name, model in models().items():
        paths.append(directory / f"{name}.nnc")
        with open_rows(ROWS, words=words if name == "both" else None) as source:
            encode_rows(
                model, source, paths[-1], EncodingSettings(shard_rows=32),
                Machine(threads=1),
            )  # fmt: skip
    return paths


def use(path: Path) -> None:
    """Uses a directory as a table, and as what more rows may be added to."""
    with suppress(InputError):  # the sums would refuse all that follows
        CompressedEmbedding.load(path, verify=True)
    with np.errstate(all="ignore"):
        embedding = CompressedEmbedding.load(path)
        nnc.look_up(embedding)
        CompressedEmbedding.load(path, access="random").vectors[np.arange(3)]
    out = Output(path, embedding.model, "", append=True)
    assert out.error is None or isinstance(out.error, float)
    for file in sorted(path.glob("rows-*.nnc")):
        with suppress(InputError):
            CompressedEmbedding.load(file)


KIND = Kind("table_directory", seeds, use)
