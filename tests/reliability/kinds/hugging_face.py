"""Hugging Face folders: safetensors, alone or with an index, and a tokenizer."""

import json
from pathlib import Path

from nncompress.formats.safetensors import write_tensors
from tests.reliability.fuzzing import Kind
from tests.reliability.using import ROWS, WORDS, use_table


def seeds(folder: Path) -> list[Path]:
    """Writes a folder for each kind of tokenizer."""
    numbers = {word: number for number, word in enumerate(WORDS)}
    added = [{"id": len(WORDS) - 1, "content": "<added>"}]
    tokenizers = {
        "dict": {"added_tokens": added, "model": {"vocab": numbers}},
        "pairs": {"model": {"vocab": [[word, -1.5] for word in WORDS]}},
    }
    paths = [folder / name for name in ("dict", "pairs", "text")]
    for path in paths:
        path.mkdir()
        if path.name in tokenizers:
            text = json.dumps(tokenizers[path.name])
            (path / "tokenizer.json").write_text(text, encoding="utf-8")
            shard, name = "model.safetensors", "embeddings.weight"
        else:
            (path / "vocab.txt").write_bytes("".join(f"{word}\n" for word in WORDS).encode())
            shard, name = "model-1-of-1.safetensors", "wte.weight"
            index = json.dumps({"weight_map": {name: shard, "bias": shard}})
            (path / "model.safetensors.index.json").write_text(index)
        write_tensors(path / shard, {name: ROWS, "bias": ROWS[0]}, {"format": "pt"})
    return paths


KIND = Kind("hugging_face", seeds, use_table)
