"""Folders of static models, with tables as they were and compressed."""

import json

import numpy as np

from nncompress import CompressedEmbedding
from nncompress.formats.safetensors import write_tensors
from nncompress.models import model2vec_folder
from nncompress.models.static_file import StaticTable, is_compressed, read_static, write_static
from tests.reliability.fuzzing import Kind


def seeds(directory):
    random = np.random.default_rng(0)
    beside = {"mapping": random.integers(12, size=20), "weights": random.random(20)}
    rows = random.normal(size=(12, 6)).astype(np.float32)
    for name in ("plain", "compressed"):
        write_plain(directory / name, rows, beside)
    compress(directory / "compressed", beside)
    return [directory / "plain", directory / "compressed"]


def write_plain(folder, rows, beside=None):
    """Writes the folder of a model2vec model that sentence-transformers reads too."""
    beside = beside or {}
    folder.mkdir()
    vocabulary = {f"t{i}": i for i in range(len(beside.get("mapping", rows)))}
    modules = [{"idx": 0, "name": "0", "path": ".", "type": model2vec_folder.PLAIN_TYPE}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text(json.dumps({"normalize": True, "max_length": 512}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    write_tensors(folder / "model.safetensors", beside | {"embeddings": rows}, {})


def compress(folder, beside=None):
    """Puts a compressed table into such a folder, of other rows."""
    random = np.random.default_rng(1)
    (slot,) = model2vec_folder.read(folder)
    codes = random.integers(5, size=(slot.num_rows, 4))
    table = CompressedEmbedding.from_codes(codes, random.normal(size=(20, slot.dim)))
    table.extras |= beside or {}
    changed = model2vec_folder.changed_files(folder)
    write_static(folder / "model.safetensors", StaticTable(table), "embeddings")
    for name, content in changed.items():
        (folder / name).write_bytes(content)


def use(folder):
    if not model2vec_folder.recognizes(folder):
        return
    for file in model2vec_folder.weight_files(folder):
        if is_compressed(folder / file):
            embedding = read_static(folder / file).embedding
            with np.errstate(all="ignore"):
                embedding.encode(["a", "b"], lambda text: [ord(text) % 20])
            model2vec_folder.restored_files(folder, "float32")
        else:
            model2vec_folder.read(folder)
            model2vec_folder.changed_files(folder)


KIND = Kind("static_model", seeds, use)
