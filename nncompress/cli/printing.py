"""Common parts of commands: the printing of results, and some arguments."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from nncompress.cli.paths import named_source, source
from nncompress.cli.terminal import print_table, tell_next
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.formats.strict_json import strict_json
from nncompress.progress import say


def format_bytes(count: int) -> str:
    """Returns a number of bytes as text, in a suitable unit."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{count} bytes"
        size /= 1000
    return f"{size:.3g} GB"


def format_seconds(seconds: float) -> str:
    """Returns a time as text: in seconds or, if it is long, in minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Prints words and numbers as two columns, under the first row as their heading."""
    print_table(rows, has_heading=True)


def print_facts(
    arguments: argparse.Namespace,
    facts: Mapping[str, object],
    lines: Mapping[str, str] = MappingProxyType({}),
    next_lines: Sequence[str] = (),
) -> None:
    """Prints facts: as a JSON object if that was asked for, otherwise as lines.

    Args:
        arguments: The command line.
        facts: The facts for programs.
        lines: The same for people: names and what they are.
        next_lines: Command lines to go on with, told at a terminal alone.
    """
    if arguments.json:
        say(strict_json(facts))
    else:
        print_table(list(lines.items()), has_heading=False)
        tell_next(next_lines)


def cosines_of(near: Sequence[tuple[str | int, float]]) -> list[tuple[str, str]]:
    """Returns keys and cosines as rows for ``print_rows``."""
    return [(str(key), f"{cosine:.4f}") for key, cosine in near]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that asks for JSON."""
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def add_source(parser: argparse.ArgumentParser, name: str, what: str, **options: object) -> None:
    """Adds the arguments that name a table of vectors with its words."""
    _add_vectors(parser, name, what, **options)
    add_words(parser)


def add_words(parser: argparse.ArgumentParser, *, kind: Callable = source) -> None:
    """Adds the argument that names the words of a table.

    Args:
        parser: The command's parser.
        kind: What the argument may be: a kind of ``nncompress.cli.paths``.
    """
    parser.add_argument(
        "--words",
        type=kind,
        metavar="FILE",
        help="the words of its rows: a file with one token per line, a tokenizer.json, or the "
        "name of the column in Parquet or of the array in .npz",
    )


def _add_vectors(parser: argparse.ArgumentParser, name: str, what: str, **options: object) -> None:
    parser.add_argument(name, help=what, **options)
    parser.add_argument(
        "--tensor", metavar="NAME",
        help="name of the tensor (safetensors), array (Zarr, .npz) or column (Parquet); in "
        "safetensors, a name with * joins the parts of one tensor",
    )  # fmt: skip


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the rows of a table of any size."""
    _add_vectors(
        parser, "table", "a table of any size, in one file or several: .npy, .safetensors, Zarr, "
        "Parquet, a URL, or any format that nncompress compress reads",
        nargs="+", type=named_source,
    )  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N rows")


def check_topn(topn: int) -> None:
    """Checks the number of words to list.

    Raises:
        InputError: The number of words is below 1.
    """
    if topn < 1:
        raise InputError(f"-n is {topn}; wanted at least 1")


def key_of(embedding: CompressedEmbedding, word: str) -> str | int:
    """Returns the key for a word on the command line: a row's number if the table has no words."""
    is_number = word.isascii() and word.isdigit() and len(word) <= 18
    return int(word) if is_number and not embedding.has_words else word
