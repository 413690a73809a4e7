"""Small static models, and their folders with compressed tables."""

import shutil

import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.embedding.code_table import CodeTable
from nncompress.models import model2vec_folder
from nncompress.models.static_file import StaticTable, open_static, write_static

tokenizers = pytest.importorskip("tokenizers")

UNKNOWN = "[UNK]"


def word_tokenizer(num_tokens=60):
    """A tokenizer of the words w1, w2, ..., whose unknown token is 0."""
    vocabulary = {UNKNOWN: 0, **{f"w{i}": i for i in range(1, num_tokens)}}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return tokenizer


def unigram_tokenizer(num_tokens=60):
    """The same of pieces with scores, whose unknown token is 2."""
    pieces = [(f"w{i}", -float(i + 1)) for i in range(num_tokens)]
    pieces[2] = (UNKNOWN, 0.0)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return tokenizer


def some_texts(random, count=12, words=60):
    """Texts of words, of which some are unknown, and one of none."""
    lengths = random.integers(1, 9, size=count)
    texts = [" ".join(f"w{i}" for i in random.integers(1, words + 5, size=n)) for n in lengths]
    return [*texts, "", "zzz", "w3"]


def some_table(random, rows=60, dim=8):
    """A compressed table of additive codes."""
    codes = random.integers(5, size=(rows, 4))
    return CompressedEmbedding.of_table(
        CodeTable.of_codes(codes, random.normal(size=(20, dim))), None
    )


def compress_folder(folder, output, random):
    """Copies a folder, with a compressed table in the place of each of its static tables.

    Returns the tables, which are of no rows of the folder's.
    """
    shutil.copytree(folder, output)
    tables = []
    for slot in model2vec_folder.read(folder):
        table = some_table(random, slot.num_rows, slot.dim)
        file, _ = open_static(folder / slot.file)
        extras = {
            name: file.tensors[name] for name in ("weights", "mapping") if name in file.tensors
        }
        whole = CompressedEmbedding(table.table, None, extras=extras)
        write_static(output / slot.file, StaticTable(whole), slot.tensor)
        tables.append(table)
    for name, content in model2vec_folder.changed_files(folder).items():
        (output / name).write_bytes(content)
    return tables


def normal(random, *shape):
    return random.normal(size=shape).astype(np.float32)
