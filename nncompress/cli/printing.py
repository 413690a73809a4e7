"""Common parts of commands: the printing of results, and some arguments."""

import argparse
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.formats.strict_json import strict_json


def format_bytes(count: int) -> str:
    """Returns a number of bytes in the unit that suits it."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{count} bytes"
        size /= 1000
    return f"{size:.3g} GB"


def format_seconds(seconds: float) -> str:
    """Returns a time in seconds, or in minutes if it is long."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def print_rows(rows: Sequence[tuple[str, str]], right: bool = True) -> None:
    """Prints two columns, the second one flush right or left."""
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for first, second in rows:
        second = second.rjust(widths[1]) if right else second
        print(f"{first.ljust(widths[0])}  {second}")


def print_facts(
    arguments: argparse.Namespace,
    facts: Mapping[str, object],
    lines: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Prints facts as a JSON object if that is asked for, or as lines."""
    if arguments.json:
        print(strict_json(facts))
    else:
        print_rows(list(lines.items()), right=False)


def cosines_of(near: Sequence[tuple[str | int, float]]) -> list[tuple[str, str]]:
    """Returns keys and cosines as ``print_rows`` takes them."""
    return [(str(key), f"{cosine:.4f}") for key, cosine in near]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that asks for JSON."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_source(parser: argparse.ArgumentParser, name: str, what: str, **options: object) -> None:
    """Adds the arguments that name a table of vectors with its words."""
    _add_vectors(parser, name, what, **options)
    add_words(parser)


def add_words(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that names the words of a table."""
    parser.add_argument(
        "--words",
        help="its words: a token a line, a tokenizer.json, or the column that has them in Parquet",
    )


def _add_vectors(parser: argparse.ArgumentParser, name: str, what: str, **options: object) -> None:
    parser.add_argument(name, help=what, **options)
    parser.add_argument(
        "--tensor", help="the name of the tensor in safetensors, the array in Zarr, the column in "
        "Parquet; in safetensors * joins the parts of one",
    )  # fmt: skip


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the rows of a table of any size."""
    _add_vectors(
        parser, "table", "a table, or its shards: .npy, .safetensors, Zarr, Parquet, a URL, or "
        "what nncompress compress takes", nargs="+",
    )  # fmt: skip
    parser.add_argument("--limit", type=int, help="use only the first n rows")


def check_topn(topn: int) -> None:
    """Refuses to look for no words at all.

    Raises:
        InputError: The number of words is below 1.
    """
    if topn < 1:
        raise InputError(f"-n is {topn}; wanted at least 1")


def key_of(embedding: CompressedEmbedding, word: str) -> str | int:
    """Returns the key that a word on the command line means: without words, a row's number."""
    is_number = word.isascii() and word.isdigit() and len(word) <= 18
    return int(word) if is_number and not embedding.has_words else word
