#!/usr/bin/env python
"""Measure the cost and benefit of compressing a model's matrices: quality, bytes and time.

    python benchmarks/matrix_compression.py digits
    python benchmarks/matrix_compression.py language "low rank" "k-means"
    python benchmarks/matrix_compression.py speed

`language` trains a model of examples/language_model for each given option (all if none is given),
which takes a few minutes each; it keeps them in result/matrix_compression, and continues from
there. `digits` trains the perceptron of examples/mnist. `speed` times single layers. All times are
relative to the uncompressed model's; they are medians of runs that take turns.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from command_line import hparams_of
from datasets import read_dataset
from language_model import training as language
from language_model.options import OPTIONS
from language_model.text import read_corpus
from mnist.mnist_compression import Perceptron
from running import SETTINGS
from training import FINAL, train

from benchmarks.machine import describe
from benchmarks.turns import relative_times
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix import compress_chain, finalize

L = chainer.links
T = TypeVar("T")

RESULTS = Path("result/matrix_compression")
PLAIN = "uncompressed"
BATCHES = 1, 32, 256
NUM_IDS = 640
HEADER = ("quality", "of plain's", "bytes", "times smaller", *(f"batch {n}" for n in BATCHES))

DIGITS_SEEDS, DIGITS_STEPS = 5, 1_500
DIGITS_MATCH = "layer_[12]"  # both hidden layers
DIGITS_RAMP = "begin_compression_step=400,compression_frequency=10,alpha_decrement_value=0.02"
DIGITS = {
    PLAIN: "compression_option=0",
    "low rank": "compression_option=1,rank=1000",
    # Only the scales among its factors are trained, so it benefits from a trained matrix.
    "simhash": "compression_option=2,rank=12,begin_compression_step=900,compression_frequency=5",
    "dictionary learning": "compression_option=3,rank=800",
    "k-means": "compression_option=4,rank=64,block_size=2",
    "compositional codes": "compression_option=5,rank=400,num_codewords=8",
    "pruning and k-means": "compression_option=8,rank=64,block_size=2,pruning_fraction=0.3",
    "input-output": "compression_option=9,input_compression_factor=4,input_block_size=64,"
    "compress_output=True,output_compression_factor=2,output_block_size=64",
    "block diagonal": "compression_option=10,block_compression_factor=4",
    "mixed blocks": "compression_option=12,compression_factor=4,num_bases=4",
}

AT_ONCE = "begin_compression_step=1,compression_frequency=1,alpha_decrement_value=0.5"
LAYERS = (512, 512), (384, 4096), (4096, 384)  # outputs and inputs
TABLE = 30_000, 128
SPEED = {
    "low rank": "compression_option=1,rank=400",
    "simhash": "compression_option=2,rank=400",
    "dictionary learning": "compression_option=3,rank=800",
    "k-means": "compression_option=4,rank=16",
    "compositional codes": "compression_option=5,rank=400",
    "pruning and k-means": "compression_option=8,rank=16,pruning_fraction=0.5",
    "input-output": "compression_option=9,input_compression_factor=2,input_block_size=32,"
    "compress_output=True,output_compression_factor=2,output_block_size=16",
    "block diagonal": "compression_option=10,block_compression_factor=4",
    "mixed blocks": "compression_option=12,compression_factor=4,num_bases=4",
}


@dataclass(frozen=True)
class Row:
    """A row of the table, for one model.

    Attributes:
        quality: Perplexity or accuracy.
        num_bytes: Bytes of the whole file.
        model: The model in its final form.
    """

    quality: float
    num_bytes: int
    model: chainer.Chain


def main(argv: list[str] | None = None) -> None:
    """Prints the tables of the requested part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("language", "digits", "speed"))
    parser.add_argument("options", nargs="*", help="the part's options to measure (default: all)")
    arguments = parser.parse_args(argv)
    print(f"{describe()}\n")
    {"language": language_part, "digits": digits_part, "speed": speed_part}[arguments.part](
        arguments.options
    )


def chosen(known: Mapping[str, T], names: list[str]) -> dict[str, T]:
    """Returns the named options, or all, with the uncompressed model first.

    Raises:
        InputError: A name is unknown.
    """
    for name in names:
        if name not in known:
            raise InputError(f"unknown option {name!r}; wanted one of {', '.join(known)}")
    return {name: known[name] for name in known if name == PLAIN or not names or name in names}


def language_part(names: list[str]) -> None:
    """Prints the table of the language model."""
    corpus, settings = read_corpus(), language.Settings()
    print(f"Language model, {settings.max_steps:,} steps. Words: {corpus}\n")
    rows = {}
    for name, option in chosen(OPTIONS, names).items():
        out = RESULTS / "language" / name.replace(" ", "-")
        resume = (out / SETTINGS).exists()
        of_option = replace(settings, factor_rate=option.factor_rate)
        trained = language.train(corpus, option.compression(), of_option, out, resume=resume)
        if trained.num_bytes is None:
            raise InputError(f"alpha of {name} is not 0 after {settings.max_steps:,} steps")
        rows[name] = Row(trained.test, trained.num_bytes, trained.model)
    random = np.random.default_rng(0)
    inputs = [random.integers(len(corpus.vocabulary), size=(1, n)).astype("i") for n in BATCHES]
    ids = random.integers(len(corpus.vocabulary), size=NUM_IDS).astype("i")
    print_table(rows, lambda model: [
        *(two_words(model, x) for x in inputs), forward(model.embed, ids)
    ], "lookups")  # fmt: skip


def digits_part(names: list[str]) -> None:
    """Prints the table of the digits network."""
    data = read_dataset("digits", Path("data"))
    print(f"Digits, {DIGITS_STEPS:,} steps, median accuracy of {DIGITS_SEEDS} seeds\n")
    rows = {name: digits_row(data, hparams) for name, hparams in chosen(DIGITS, names).items()}
    images = np.stack([image for image, _ in data[0][: max(BATCHES)]])
    print_table(rows, lambda model: [forward(model, images[:n]) for n in BATCHES])


def digits_row(data: tuple, hparams: str) -> Row:
    """Trains the perceptron for each seed."""
    models: list[chainer.Chain] = []

    def make() -> chainer.Chain:
        models.append(Perceptron(8, hidden=(256, 256)))
        return models[-1]

    with tempfile.TemporaryDirectory() as out:
        shares = [
            train(
                make, data, hparams_of(DIGITS_RAMP, hparams), DIGITS_MATCH, out=Path(out),
                max_steps=DIGITS_STEPS, seed=seed, quiet=True,
            )[0]
            for seed in range(DIGITS_SEEDS)
        ]  # fmt: skip
        path = Path(out) / FINAL
        chainer.serializers.save_npz(str(path), models[-1], compression=False)
        return Row(statistics.median(shares), path.stat().st_size, models[-1])


def print_table(
    rows: Mapping[str, Row], works_of: Callable[[chainer.Chain], list[Callable]], *more: str
) -> None:
    """Prints quality, bytes and times of models, the first of which is not compressed.

    Args:
        rows: The models by name.
        works_of: A function that returns the work to time for a model: a forward pass for each
            batch, and more.
        *more: Names of the additional work.
    """
    print_row("", *HEADER, *more)
    print_row(*["---"] * (1 + len(HEADER) + len(more)))
    works = [works_of(row.model) for row in rows.values()]
    times = [relative_times(each) for each in zip(*works, strict=True)]
    plain = next(iter(rows.values()))
    for (name, row), seconds in zip(rows.items(), zip(*times, strict=True), strict=True):
        print_row(
            name, f"{row.quality:.4g}", f"{row.quality / plain.quality:.3f}",
            f"{row.num_bytes:,}", f"{plain.num_bytes / row.num_bytes:.2f}",
            *(f"{each:.2f}" for each in seconds),
        )  # fmt: skip
    print()


def print_row(*cells: str) -> None:
    """Prints a row of a table in Markdown."""
    print(f"| {' | '.join(cells)} |", flush=True)


def speed_part(names: list[str]) -> None:
    """Prints the times of single layers, final and in the ramp, and of lookups."""
    options = chosen(SPEED, names)
    for shape in LAYERS:
        print(f"A layer of {shape[0]} x {shape[1]}: final, and in the ramp\n")
        print_row("", *(f"batch {n}" for n in BATCHES), f"step, batch {BATCHES[1]}")
        print_row(*["---"] * (2 + len(BATCHES)))
        for name, hparams in options.items():
            print_row(name, *(f"{each:.2f}" for each in layer_times(shape, hparams)))
        print()
    print(f"Lookups of {NUM_IDS} rows of {TABLE[0]:,} x {TABLE[1]}\n")
    print_row("", "lookups")
    print_row("---", "---")
    for name, hparams in options.items():
        print_row(name, f"{lookup_time(TABLE, hparams, NUM_IDS):.2f}")
    print()


def layer_times(shape: tuple[int, int], hparams: str) -> list[float]:
    """Returns the relative times of forward passes by batch, and of a step in the ramp."""
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(n, shape[1])).astype(np.float32) for n in BATCHES]

    def make() -> chainer.Chain:
        np.random.seed(0)
        return chainer.Sequential(L.Linear(shape[1], shape[0]))

    plain, model = make(), make()
    finish = halfway(model, hparams)
    step = relative_times([training_step(each, inputs[1]) for each in (plain, model)])[1]
    finish()
    return [
        *(relative_times([forward(plain, x), forward(model, x)])[1] for x in inputs), step
    ]  # fmt: skip


def lookup_time(shape: tuple[int, int], hparams: str, num_ids: int) -> float:
    """Returns the relative time of looking up rows."""

    def make() -> chainer.Chain:
        np.random.seed(0)
        return chainer.Sequential(L.EmbedID(*shape))

    plain, model = make(), make()
    halfway(model, hparams)()
    ids = np.random.default_rng(0).integers(shape[0], size=num_ids).astype(np.int32)
    return relative_times([forward(plain, ids), forward(model, ids)])[1]


def halfway(model: chainer.Chain, hparams: str) -> Callable[[], None]:
    """Compresses a model to an alpha of 0.5; returns a function that finalizes it."""
    applied = compress_chain(model, f"{AT_ONCE},{hparams}")
    applied.run_update_step(1)

    def finish() -> None:
        applied.run_update_step(2)
        finalize(model)

    return finish


def training_step(model: chainer.Chain, x: np.ndarray) -> Callable[[], None]:
    """Returns a training step."""
    optimizer = chainer.optimizers.SGD(1e-6)
    optimizer.setup(model)
    inner = chainer.Variable(x)  # as within a network, where the input also has a gradient
    return lambda: optimizer.update(lambda: chainer.functions.sum(model(inner) ** 2))


def forward(model: chainer.Chain, x: np.ndarray) -> Callable[[], None]:
    """Returns a forward pass of a model in inference mode."""

    def work() -> None:
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            model(x)

    return work


def two_words(model: language.LanguageModel, x: np.ndarray) -> Callable[[], None]:
    """Returns the passes that predict the word after a word, and the one after the next."""

    def work() -> None:
        model.reset_state()
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            model(x)
            model(x)  # with the state from the first

    return work


if __name__ == "__main__":
    main()
