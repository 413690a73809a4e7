"""Small models of transformers, sentence-transformers and model2vec, and copies of them."""

import shutil

import numpy as np
import pytest

from tests.models.static_models import UNKNOWN, word_tokenizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.numpy")

TOKENS, DIM = 60, 16


def save_tokenizer(folder):
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(TOKENS), unk_token=UNKNOWN, pad_token=UNKNOWN
    )
    tokenizer.save_pretrained(folder)


def save_bert(folder):
    """Writes an encoder without a modules.json."""
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=TOKENS, hidden_size=DIM, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)


def save_gpt2(folder):
    """Writes a causal language model with a tied head."""
    torch.manual_seed(2)
    config = transformers.GPT2Config(
        vocab_size=TOKENS, n_embd=DIM, n_layer=1, n_head=2, n_positions=32, initializer_range=0.5,
        bos_token_id=3, eos_token_id=3,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    save_tokenizer(folder)


def tables_of(folder):
    """Yields the path of each file with a table of token vectors, its tensors and its name."""
    for path in sorted(folder.rglob("model.safetensors")):
        tensors = safetensors.load_file(path)
        for name, array in tensors.items():
            if array.ndim == 2 and array.shape[0] == TOKENS:
                yield path, tensors, name


def table_of(folder):
    ((_, tensors, name),) = tables_of(folder)
    return tensors[name]


def perturbed(folder, output, random, size=0.2):
    """Copies a folder, with noise in its table: in the place of what compression does."""
    shutil.copytree(folder, output)
    for path, tensors, name in tables_of(output):
        noise = size * random.normal(size=tensors[name].shape)
        tensors[name] = (tensors[name] + noise).astype(np.float32)
        safetensors.save_file(tensors, path, {"format": "pt"})
    return output
