"""The command ``nncompress``: compress a table of vectors, and look into the result."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from nncompress.cli import errors
from nncompress.cli.tables import format_bytes, format_seconds, print_rows
from nncompress.errors import InputError
from nncompress.files import check_output
from nncompress.version import __version__

_TRAIN = "compressing needs more than is installed; pip install 'chainer-nncompress[train]'"


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except KeyError as error:  # a word that is not there
        raise InputError(error.args[0]) from None


def run() -> None:
    """Runs the command as a program."""
    errors.run(main, "nncompress")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nncompress",
        description="Compress a table of vectors, and look into the result.",
        epilog="example: nncompress compress glove.6B.300d.txt glove.nnc",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable, what: str, example: str) -> Callable:
        sub = commands.add_parser(
            name, help=what, description=what, epilog=f"example: nncompress {name} {example}"
        )
        sub.set_defaults(command=function)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        return sub.add_argument

    add = command(
        "compress", _compress, "compress a table of vectors", "glove.6B.300d.txt glove.nnc"
    )
    _add_source(add, "input", "text, word2vec .bin, .npy, .safetensors or Hugging Face folder")
    add("output", type=Path, help="the .nnc file to write")
    add("-M", "--M", type=int, dest="num_codebooks", default=32, help="codebooks (default: 32)")
    add("-K", "--K", type=int, dest="num_codewords", default=16, help="codewords (default: 16)")
    add("--limit", type=int, help="use only the first n rows")
    add("--objective", choices=("distance", "cosine"), default="distance", help="what to keep")
    add("--weights", type=Path, help="weights of the rows: .npy, or text with a number a line")
    add("--recipe", choices=("fast", "paper"), default="fast", help="(default: fast)")
    add("-e", "--epoch", type=int, help="passes over the rows (default: the recipe chooses)")
    add("--time-budget", type=float, help="seconds to refine for, roughly (default: no limit)")
    add("--codebook-dtype", choices=("auto", "float16", "float32"), default="auto",
        help="(default: float16 if the loss rises by less than 0.1%%)")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU; -1, the default: the CPU")
    add("--threads", type=int, help="threads on the CPU (default: all usable cores)")
    add("--dry-run", action="store_true", help="print the expected size, time and memory only")

    add = command("info", _info, "tell what a file holds, and how it was made", "glove.nnc")
    add("file", type=Path)
    add("--verify", action="store_true", help="read all of it and check its SHA-256 sums")

    add = command("similar", _similar, "list the nearest words of words", "glove.nnc king paris")
    add("file", type=Path)
    add("words", nargs="+", metavar="WORD", help="a word; without words, a row's number")
    add("-n", "--topn", type=int, default=10, help="how many (default: 10)")

    add = command("analogy", _analogy, "a is to b as c is to what?", "glove.nnc man king woman")
    add("file", type=Path)
    for name in "abc":
        add(name, metavar=name.upper())
    add("-n", "--topn", type=int, default=5, help="how many (default: 5)")

    add = command(
        "evaluate", _evaluate, "compare a file with the original table",
        "glove.nnc --against glove.6B.300d.txt --plot glove.png",
    )  # fmt: skip
    add("file", type=Path)
    _add_source(add, "--against", "the original table", required=True, metavar="ORIGINAL")
    add(
        "--pairs",
        type=Path,
        action="append",
        help="two words and their similarity a line, with tabs between them (default: WordSim-353 "
        "and SimLex-999, if gensim is installed)",
    )
    add("--plot", type=Path, help="picture to draw (.png, .pdf or .svg)")

    add = command("export", _export, "write the decoded vectors", "glove.nnc glove.txt --to glove")
    add("file", type=Path)
    add("output", type=Path)
    add("--to", choices=("word2vec", "glove", "npy", "gensim"), required=True,
        help="word2vec is binary if the output's name ends in .bin")  # fmt: skip
    return parser


def _add_source(add: Callable, name: str, what: str, **options: object) -> None:
    add(name, help=what, **options)
    add("--words", type=Path, help="its words: a token a line, or a tokenizer.json")
    add("--tensor", help="the tensor's name in safetensors files")


def _compress(arguments: argparse.Namespace) -> None:
    from nncompress.sources.tables import open_table
    from nncompress.sources.weights import check_weights, load_weights

    try:
        from nncompress.device import get_device
        from nncompress.forecast import forecast
        from nncompress.pipeline import compress_table
    except ImportError as error:
        raise InputError(f"{error}: {_TRAIN}") from None

    chosen = {
        "recipe": arguments.recipe,
        "max_epochs": arguments.epoch,
        "time_budget": arguments.time_budget,
        "device": arguments.gpu,
        "threads": arguments.threads,
    }
    get_device(arguments.gpu)
    size = arguments.num_codebooks, arguments.num_codewords
    weights = None if arguments.weights is None else load_weights(arguments.weights)
    if not arguments.dry_run:
        check_output(arguments.output, [arguments.input, arguments.words, arguments.weights])
    with open_table(
        arguments.input, words=arguments.words, tensor=arguments.tensor, limit=arguments.limit,
        unit_rows=arguments.objective == "cosine",
    ) as table:  # fmt: skip
        if weights is not None:
            check_weights(weights, table.matrix, str(arguments.weights))
        if arguments.dry_run:
            expected = forecast(table, *size, **chosen)
            return _print(arguments, {
                "file_bytes": expected.file_bytes,
                "source_bytes": expected.source_bytes,
                "seconds": round(expected.seconds, 1),
                "memory_bytes": expected.memory_bytes,
            }, {
                "file": format_bytes(expected.file_bytes),
                "of": format_bytes(expected.source_bytes) + " in float32",
                "time": "about " + format_seconds(expected.seconds),
                "memory": "about " + format_bytes(expected.memory_bytes),
            })  # fmt: skip
        embedding = compress_table(
            table, arguments.output, *size, **chosen, weights=weights, seed=arguments.seed,
            codebook_dtype=arguments.codebook_dtype, report=None if arguments.json else print,
        )  # fmt: skip
    return _print_info(arguments, arguments.output, embedding)


def _info(arguments: argparse.Namespace) -> None:
    _print_info(arguments, arguments.file, _load(arguments, verify=arguments.verify))


def _similar(arguments: argparse.Namespace) -> None:
    embedding = _load(arguments)
    keys = [_key(embedding, word) for word in arguments.words]
    found = embedding.most_similar_batch(keys, arguments.topn)
    if arguments.json:
        _print(arguments, {str(key): near for key, near in zip(keys, found, strict=True)})
        return
    for number, (key, near) in enumerate(zip(keys, found, strict=True)):
        print("" if number == 0 else "\n", end="")
        print_rows([(f"nearest to {key}", "cosine"), *_cosines(near)])


def _analogy(arguments: argparse.Namespace) -> None:
    embedding = _load(arguments)
    a, b, c = (_key(embedding, word) for word in (arguments.a, arguments.b, arguments.c))
    near = embedding.most_similar([b, c], [a], arguments.topn)
    if arguments.json:
        _print(arguments, {"answers": near})
    else:
        print_rows([(f"{a} is to {b} as {c} is to", "cosine"), *_cosines(near)])


def _evaluate(arguments: argparse.Namespace) -> None:
    from nncompress.evaluation import NEIGHBOURS, evaluate
    from nncompress.sources.tables import open_table

    if arguments.plot is not None and arguments.plot.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"{arguments.plot} does not end in .png, .pdf or .svg")
    embedding = _load(arguments)
    unit_rows = embedding.provenance.get("objective") == "cosine"
    with open_table(
        arguments.against, words=arguments.words, tensor=arguments.tensor, unit_rows=unit_rows,
        limit=embedding.table.num_rows,
    ) as original:  # fmt: skip
        result = evaluate(embedding, original.matrix, arguments.pairs)
    measured: dict[str, object] = {
        "loss": result.distortion.loss,
        "mean_distance": result.distortion.distance,
        "mean_cosine": result.distortion.cosine,
        f"recall@{NEIGHBOURS}": result.recall,
        "bits_used": result.bits_used,
    }
    lines = {name: f"{value:.5g}" for name, value in measured.items()}
    for name, (before, after) in result.word_tests.items():
        measured[name] = {"original": before, "compressed": after}
        lines[name] = f"{after:.4f} (original {before:.4f})"
    if arguments.plot is not None:
        from nncompress.evaluation_plot import plot_evaluation

        plot_evaluation(arguments.plot, result, arguments.file.name)
        measured["plot"] = lines["plot"] = str(arguments.plot)
    _print(arguments, measured, lines)


def _export(arguments: argparse.Namespace) -> None:
    from nncompress.embedding.export import export

    check_output(arguments.output, [arguments.file])
    written = export(_load(arguments), arguments.output, arguments.to)
    sizes = {str(path): path.stat().st_size for path in written}
    _print(arguments, {"files": sizes}, {path: format_bytes(n) for path, n in sizes.items()})


def _load(arguments: argparse.Namespace, verify: bool = False):
    from nncompress.embedding.compressed import CompressedEmbedding

    return CompressedEmbedding.load(arguments.file, verify=verify)


def _key(embedding, word: str) -> str | int:
    is_number = word.isascii() and word.isdigit() and len(word) <= 18
    return int(word) if is_number and not embedding.has_words else word


def _cosines(near: list[tuple[str | int, float]]) -> list[tuple[str, str]]:
    return [(str(key), f"{cosine:.4f}") for key, cosine in near]


def _print_info(arguments: argparse.Namespace, path: Path, embedding) -> None:
    table = embedding.table
    size = path.stat().st_size
    facts: dict[str, object] = {
        **embedding.provenance,  # what the file says of itself; what is measured wins
        "file_bytes": size,
        "bytes_per_row": round(size / table.num_rows, 3),
        "ratio": round(4 * table.dim * table.num_rows / size, 2),
        "rows": table.num_rows,
        "words": len(embedding) if embedding.has_words else 0,
        "columns": table.dim,
        "M": table.num_codebooks,
        "K": table.num_codewords,
        "codebook_dtype": str(table.codebook.dtype),
        "verified": getattr(arguments, "verify", False),
    }
    _print(arguments, facts, {name: _shown(value) for name, value in facts.items()})


def _shown(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = " x ".join(map(str, value)) if isinstance(value, list) else str(value)
        # What a file says of itself may hold control characters for the terminal.
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _print(
    arguments: argparse.Namespace, facts: dict[str, object], lines: dict[str, str] | None = None
) -> None:
    """Prints facts as a JSON object, or as lines."""
    if arguments.json:
        print(json.dumps(facts))
    else:
        print_rows(list((lines or {}).items()), right=False)
