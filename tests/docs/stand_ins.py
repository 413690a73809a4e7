"""Small files and objects in the places of those that examples name."""

import gzip
import re
import struct
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from nncompress import CompressedEmbedding, compress
from nncompress.cli.main import main
from tests.sources.fasttext_files import SOFTMAX, model_bytes

DIM = 32
TOKENS, UNKNOWN = 2000, "[UNK]"
NAMED = [
    "king",
    "queen",
    "man",
    "woman",
    "paris",
    "france",
    "prince",
    "guitar",
    "word",
    "the",
    "of",
    "and",
]
WORDS = [*NAMED, *(f"w{i}" for i in range(1, 1800 - len(NAMED) + 1))]


def table(rows: int = len(WORDS)) -> np.ndarray:
    """Returns rows near a few dimensions, as those of real tables are."""
    random = np.random.default_rng(5)
    rows_, axes = random.normal(size=(rows, 8)), random.normal(size=(8, DIM))
    return (rows_ @ axes + 0.1 * random.normal(size=(rows, DIM))).astype(np.float32)


def text_table(path: Path) -> None:
    lines = [
        f"{w} {' '.join(f'{x:.5f}' for x in row)}\n" for w, row in zip(WORDS, table(), strict=True)
    ]
    text = "".join(lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def word2vec_binary(path: Path) -> None:
    parts = [f"{len(WORDS)} {DIM}\n".encode()]
    for word, row in zip(WORDS, table(), strict=True):
        parts += [word.encode(), b" ", struct.pack(f"<{DIM}f", *row), b"\n"]
    path.write_bytes(b"".join(parts))


def array(path: Path) -> None:
    np.save(path, table())
    path.with_suffix(".word").write_text("\n".join(WORDS) + "\n", encoding="utf-8")


def rows(path: Path) -> None:
    np.save(path, table())


def words(path: Path) -> None:
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")


def counts(path: Path) -> None:
    path.write_text("".join(f"{word}\t{5000 // i}\n" for i, word in enumerate(WORDS, 1)))


def some_text(path: Path) -> None:
    text = "\n".join(" ".join(WORDS[i : i + 9]) for i in range(0, len(WORDS), 3)) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def pairs(path: Path) -> None:
    vectors = table()
    random = np.random.default_rng(1)
    chosen = random.choice(len(WORDS), size=(60, 2))
    lines = [
        f"{WORDS[a]}\t{WORDS[b]}\t{vectors[a] @ vectors[b] + random.normal():.3f}\n"
        for a, b in chosen
    ]
    path.write_text("".join(lines))


def sentences(path: Path) -> None:
    random = np.random.default_rng(2)
    rows = random.integers(1, 60, size=(40, 3))
    path.write_text(
        "".join(f'"w{a}, w{i % 59 + 1}",w{b} w{c},{i % 6}\n' for i, (a, b, c) in enumerate(rows))
    )


def compressed(path: Path) -> None:
    compress(table(), path, words=WORDS, bits_per_dim=2, report=None)


def fasttext(path: Path) -> None:
    random = np.random.default_rng(3)
    entries = [b"</s>", *(word.encode() for word in WORDS)]
    matrix = random.normal(size=(len(entries) + 200, DIM)).astype(np.float32)
    path.write_bytes(model_bytes(entries, matrix, matrix[: len(entries)]))


def classifier(path: Path) -> None:
    random = np.random.default_rng(4)
    entries = [b"</s>", b"Wo", b"ist", b"one", b"line", b"another"]
    labels = [b"__label__de", b"__label__en", b"__label__fr"]
    matrix = random.normal(size=(len(entries) + 100, DIM)).astype(np.float32)
    output = random.normal(size=(len(labels), DIM)).astype(np.float32)
    path.write_bytes(model_bytes(entries, matrix, output, labels=labels, loss=SOFTMAX))


def subwords(path: Path) -> None:
    fasttext(path.with_suffix(".fasttext.bin"))
    compress(path.with_suffix(".fasttext.bin"), path, prune=True, bits_per_dim=4, report=None)


def model(path: Path) -> None:
    np.save("rows.npy", table())
    main(["learn", "rows.npy", str(path), "--bits-per-dim", "4"])


def codes(path: Path) -> None:
    random = np.random.default_rng(6)
    lines = [f"{' '.join(map(str, random.integers(16, size=32)))}\n" for _ in WORDS]
    path.write_text("".join(lines))


def codebook(path: Path) -> None:
    np.save(path, np.random.default_rng(6).normal(size=(32 * 16, DIM)).astype(np.float32))


def word_tokenizer(num_tokens: int) -> object:
    """Returns a tokenizer of the words w1, w2, ..., whose unknown token is 0."""
    from tests.models import static_models

    return static_models.word_tokenizer(num_tokens)


def _tokenizer(path: Path) -> None:
    import transformers

    transformers.PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(TOKENS), unk_token=UNKNOWN, pad_token=UNKNOWN
    ).save_pretrained(path)


def encoder(path: Path) -> None:
    import transformers
    from sentence_transformers import SentenceTransformer

    plain = path.with_name("plain")
    config = transformers.BertConfig(
        vocab_size=TOKENS, hidden_size=DIM, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(plain)
    _tokenizer(plain)
    SentenceTransformer(str(plain), device="cpu").save(str(path))


def static_model(path: Path) -> None:
    import model2vec

    rows = table(TOKENS)
    model2vec.StaticModel(rows, word_tokenizer(TOKENS)).save_pretrained(str(path))


def language_model(path: Path) -> None:
    import transformers

    config = transformers.GPT2Config(
        vocab_size=TOKENS, n_embd=DIM, n_layer=1, n_head=2, n_positions=64, initializer_range=0.5,
        bos_token_id=3, eos_token_id=3,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    _tokenizer(path)


def token_table(path: Path) -> None:
    CompressedEmbedding.from_codes(
        np.random.default_rng(7).integers(8, size=(TOKENS, 4)),
        np.random.default_rng(8).normal(size=(32, DIM)).astype(np.float32),
    ).save(path)


def compressed_model(path: Path) -> None:
    from nncompress import compress_model

    encoder(path.with_name("original"))
    compress_model(path.with_name("original"), path, bits_per_dim=4, report=None)


def run_directory(path: Path) -> None:
    """The newest run is what RUN stands for."""
    runs = sorted(path.parent.glob("2*"))
    if runs:
        path.symlink_to(runs[-1].name)


# The files of examples, by patterns of their names: what makes them, and what that needs.
FILES: list[tuple[str, Callable[[Path], None], tuple[str, ...]]] = [
    (r"[\w./-]*glove[\w.]*\.txt|(big|vectors)\.txt(\.gz)?", text_table, ()),
    (r"v\.bin", word2vec_binary, ()),
    (r"data/[\w.]*\.npy", array, ()),
    (r"big\.npy|part-\d\.npy", rows, ()),
    (r"data/[\w.]*\.word|tokens\.txt", words, ()),
    (r"counts\.txt", counts, ()),
    (r"my-texts\.txt\.gz|held-out\.txt", some_text, ()),
    (r"wordsim353\.tsv", pairs, ()),
    (r"stsb-dev\.csv", sentences, ()),
    (r"(glove|items|big)\.nnc", compressed, ()),
    (r"potion\.nnc", token_table, ()),
    (r"cc\.en\.300\.bin", fasttext, ()),
    (r"lid\.176\.bin", classifier, ()),
    (r"en\.nnc", subwords, ()),
    (r"(big|better)\.model", model, ()),
    (r"[\w./]*mymodel\.codes", codes, ()),
    (r"[\w./]*mymodel\.codebook\.npy|iter_4000\.npz\.codebook\.npy", codebook, ()),
    (r"all-MiniLM-L6-v2", encoder, ("sentence_transformers",)),
    (r"MiniLM-folder", encoder, ("sentence_transformers",)),
    (r"potion(-base-8M)?", static_model, ("model2vec", "sentence_transformers")),
    (r"my-language-model", language_model, ("transformers", "torch")),
    (r"smaller", compressed_model, ("sentence_transformers",)),
    (r"result/RUN", run_directory, ()),
]
WORD = re.compile(r"[\w./-]+")
# What commands read where nothing else is named.
DEFAULTS = {
    "train_comp.py": "data/glove.6B.300d.npy",
    "nncompress train": "data/glove.6B.300d.npy",
}


def files_of(
    text: str, outputs: Collection[str] = ()
) -> dict[str, tuple[Callable[[Path], None], tuple[str, ...]]]:
    """Returns by name what makes each file that a text names, and the libraries that it takes.

    What is to be written, outputs, is left out.
    """
    named = [*WORD.findall(text), *(file for command, file in DEFAULTS.items() if command in text)]
    found = {}
    for name in named:
        name = name.removesuffix("/tokenizer.json")
        for pattern, make, needs in FILES:
            if name not in outputs and re.fullmatch(pattern, name):
                found.setdefault(name, (make, needs))
    return found


def _network() -> type:
    from nncompress import chainer

    class MyNetwork(chainer.Chain):
        """Takes rows to a loss, by two layers."""

        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.fc1 = chainer.links.Linear(DIM, 32)
                self.fc2 = chainer.links.Linear(32, 1)

        def forward(self, x):
            return chainer.functions.mean(self.fc2(chainer.functions.relu(self.fc1(x))) ** 2)

    return MyNetwork


def _trainer(names: dict) -> object:
    from nncompress import chainer

    optimizer, model = names["optimizer"], names["model"]
    optimizer.setup(model)
    batches = chainer.iterators.SerialIterator(table(), 50)
    updater = chainer.training.updaters.StandardUpdater(batches, optimizer)
    return chainer.training.Trainer(updater, (2100, "iteration"), out="out")


def _optimizer(names: dict) -> object:
    from nncompress import chainer

    return chainer.optimizers.Adam()


# The names that examples use without saying where they come from.
NAMES: dict[str, Callable[[dict], object]] = {
    "MyNetwork": lambda names: _network(),
    "line": lambda names: "king\t" + " ".join("0123456789" * 3) + " 0 1\n",
    "ids": lambda names: np.arange(0, 40, 2),
    "matrix": lambda names: table(),
    "model": lambda names: _network()(),
    "optimizer": _optimizer,
    "trainer": _trainer,
    "vectors": lambda names: table(3),
    "words": lambda names: list(WORDS),
}
NAMES_NEED = {"trainer": ("optimizer", "model")}
