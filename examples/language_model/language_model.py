#!/usr/bin/env python
"""Train a word-level LSTM language model while its matrices are compressed."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

from command_line import add_continuation, add_directory, add_flag, add_gpu, hparams_of
from running import SETTINGS

from language_model.comparing import Point, draw, table
from language_model.options import DEFAULT_HPARAMS, OPTIONS, UNCOMPRESSED
from language_model.text import Corpus, read_corpus
from language_model.training import Settings, train, uncompressed_bytes
from nncompress.cli import errors
from nncompress.errors import InputError
from nncompress.matrix import CompressionHParams

TRADE = "trade.png"
_SETTINGS = {
    "max_steps": "steps to train for",
    "streams": "streams of text to read in parallel",
    "window": "words over which gradients are propagated",
    "width": "size of a word's vector and of a layer's state",
    "layers": "number of LSTM layers",
    "dropout": "share of activations between layers that training drops",
    "rate": "Adam's learning rate in the first half of the steps",
    "seed": "seed of weights and dropout",
}


def main(argv: list[str] | None = None) -> list[Point]:
    """Runs the command and returns the measurements."""
    arguments = _parser().parse_args(argv)
    corpus = read_corpus()
    print(f"Words: {corpus}")
    settings = Settings(**{name: getattr(arguments, name) for name in _SETTINGS})
    if arguments.factor_rate is not None:
        if arguments.compare is not None:
            raise InputError(
                "--factor_rate was given with --compare, where each option has its own; leave it "
                "out"
            )
        settings = replace(settings, factor_rate=arguments.factor_rate)
    if arguments.compare is None:
        spec = hparams_of(DEFAULT_HPARAMS, arguments.compression_hparams)
        return [_run(arguments, corpus, settings, {arguments.match: spec})]
    points = []
    for name, option in OPTIONS.items():
        if arguments.compare and name not in {*arguments.compare, UNCOMPRESSED}:
            continue
        print(f"\n{name}: {option}")
        of_option = replace(settings, factor_rate=option.factor_rate)
        points.append(_run(arguments, corpus, of_option, option.compression(), name))
    print(f"\n{table(points)}")
    draw(arguments.train_dir / TRADE, points)
    return points


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=f"{__doc__} The text comes with Python.",
        epilog="example: python examples/language_model/language_model.py "
        '--compression_hparams "compression_option=4,rank=128"',
    )
    what = parser.add_mutually_exclusive_group()
    add_flag(what, "compression_hparams", default="",
             help=f"changes to the defaults, {DEFAULT_HPARAMS}; compression_option=0 compresses "
             "nothing")  # fmt: skip
    add_flag(what, "compare", nargs="*", choices=[*OPTIONS], metavar="OPTION",
             help="train a model for each of these options (all if none is named), each in its "
             "own directory, and plot perplexity against bytes; the options are "
             f"{', '.join(OPTIONS)}")  # fmt: skip
    add_flag(parser, "match", default="*",
             help="pattern of the layers to compress (default: *, all)")  # fmt: skip
    for name, meaning in _SETTINGS.items():
        default = getattr(Settings, name)
        add_flag(parser, name, type=type(default), default=default,
                 help=f"{meaning} (default: {default})")  # fmt: skip
    add_flag(parser, "factor_rate", type=float,
             help="share of the learning rate for factors (default: "
             f"{Settings.factor_rate}; with --compare, each option has its own)")  # fmt: skip
    add_directory(parser, "train_dir", "for snapshots, log and plots", "result/language_model")
    add_continuation(parser)
    add_gpu(parser)
    return parser


def _run(
    arguments: argparse.Namespace,
    corpus: Corpus,
    settings: Settings,
    compression: Mapping[str, CompressionHParams],
    option: str | None = None,
) -> Point:
    """Trains a model, and prints the results.

    Args:
        arguments: The command's arguments.
        corpus: The text.
        settings: The run's settings.
        compression: Hyperparameters by the pattern of the layers that they apply to.
        option: The option's name, if several are compared.
    """
    out = arguments.train_dir / option.replace(" ", "-") if option else arguments.train_dir
    trained = train(
        corpus, compression, settings, out,
        period=arguments.save_every, gpu=arguments.gpu,
        resume=arguments.resume and (option is None or (out / SETTINGS).exists()),
    )  # fmt: skip
    plain = uncompressed_bytes(corpus, settings)
    if trained.num_bytes is None:
        size = "alpha is not 0 yet, so the matrices are still there"
        if option:
            raise InputError(f"{option}: {size}; wanted more steps (--max_steps)")
    else:
        size = f"{trained.num_bytes:,} bytes, {plain / trained.num_bytes:.2f} times smaller"
    if trained.table:
        print(trained.table)
    print(
        f"Perplexity: {trained.validation:.2f} on the validation words, {trained.test:.2f} on the "
        f"test words; {size}"
    )
    return Point(option or str(out), trained.validation, trained.test, trained.num_bytes or plain)


if __name__ == "__main__":
    errors.run(main)
