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
    vocabulary = {f"t{i}": i for i in range(20)}
    beside = {"mapping": random.integers(12, size=20), "weights": random.random(20)}
    for name in ("plain", "compressed"):
        folder = directory / name
        folder.mkdir()
        modules = [{"idx": 0, "name": "0", "path": ".", "type": model2vec_folder.PLAIN_TYPE}]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "config.json").write_text(json.dumps({"normalize": True, "max_length": 512}))
        (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
        rows = random.normal(size=(12, 6)).astype(np.float32)
        write_tensors(folder / "model.safetensors", beside | {"embeddings": rows}, {})
    codes, codebook = random.integers(5, size=(12, 4)), random.normal(size=(20, 6))
    table = CompressedEmbedding.from_codes(codes, codebook)
    table.extras |= beside
    changed = model2vec_folder.changed_files(folder)
    write_static(folder / "model.safetensors", StaticTable(table), "embeddings")
    for name, content in changed.items():
        (folder / name).write_bytes(content)
    return [directory / "plain", directory / "compressed"]


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
