"""Folders of transformers models: their tables, decoded, and the files that are copied."""

import json
import shutil

import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.embedding.nnc_bytes import to_bytes
from nncompress.formats.safetensors import write_tensors
from nncompress.models import transformers_folder
from nncompress.models.decoding import decode_folder
from nncompress.models.folder import transformers_in
from nncompress.models.folder_files import files_in
from tests.reliability.fuzzing import Kind

torch = pytest.importorskip("torch")

_ROWS, _COLUMNS = 30, 6


def seeds(directory):
    random = np.random.default_rng(0)
    codes, codebook = random.integers(8, size=(_ROWS, 4)), random.normal(size=(32, _COLUMNS))
    nnc = to_bytes(CompressedEmbedding.from_codes(codes, codebook))
    sizes = {"num_bytes": len(nnc), "num_embeddings": _ROWS, "embedding_dim": _COLUMNS}
    added = random.normal(size=(2, _COLUMNS)).astype(np.float32)
    trained = codebook.astype(np.float32)
    more = {"num_added": 2, "trained": {"codebook": [32, _COLUMNS]}}
    guard = {"wte.weight": np.zeros(0, np.uint8)}
    tensors = {
        "plain": {"wte.weight": random.normal(size=(_ROWS, _COLUMNS)).astype(np.float32)},
        "compressed": {"wte.nnc": nnc} | guard,
        "trained": {"wte.codebook": trained, "wte.added": added, "wte.nnc": nnc} | guard,
        "several": {"wte.nnc": nnc} | guard,
    }
    tables = {"compressed": sizes, "trained": sizes | more, "several": sizes}
    for name, own in tensors.items():
        folder = directory / name
        (folder / "1_Pooling").mkdir(parents=True)
        (folder / "1_Pooling/config.json").write_text("{}")
        config = {"model_type": "x", "vocab_size": _ROWS}
        if name in tables:
            quantized = {"quant_method": "nncompress", "tables": {"wte": tables[name]}}
            config["quantization_config"] = quantized
        (folder / "config.json").write_text(json.dumps(config))
        file = "model.safetensors"
        if name == "several":
            file = "model-1-of-1.safetensors"
            index = {"metadata": {"total_size": len(nnc)}, "weight_map": dict.fromkeys(own, file)}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        write_tensors(folder / file, own, {"format": "pt"})
        modules = [{"idx": 0, "name": "0", "path": "", "type": "x.Transformer"}]
        (folder / "modules.json").write_text(json.dumps(modules))
    return [directory / name for name in tensors]


def use(folder):
    for own in transformers_in(folder):
        transformers_folder.tensor_files(folder / own)
        transformers_folder.changed_index(folder, own, ["wte.weight"], {"wte.nnc": "x"}, 3)
        if transformers_folder.compressed_tables(folder, own):
            with np.errstate(all="ignore"):
                decode_folder(folder, folder.with_name("decoded"), "float16")
            shutil.rmtree(folder.with_name("decoded"))
    files_in(folder)


KIND = Kind("model_folder", seeds, use)
