"""Write the decoded vectors, or a model's folder with its tables decoded."""

import argparse
import sys
import warnings
from contextlib import suppress

from nncompress.cli.output_streams import BinaryOutput, Unread
from nncompress.cli.paths import Standard, add_output, readable, streamable
from nncompress.cli.printing import add_json, format_bytes, print_facts
from nncompress.cli.standard_streams import check_output as check_standard_output
from nncompress.cli.tables import load_table
from nncompress.embedding.export import FORMATS, export, export_to_stream
from nncompress.embedding.table_directory import is_table_directory
from nncompress.errors import InputError
from nncompress.formats.files import check_output

# The types that tables in a model's folder can be decoded to.
DTYPES = ("float32", "float16", "bfloat16")
EXAMPLE = "glove.nnc glove.txt --to glove"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add(
        "file", type=readable,
        help="the .nnc file, or a model's folder with compressed tables; - for standard input",
    )  # fmt: skip
    add_output(
        parser, "output", type=streamable,
        help="the file to write, which replaces an existing one, or - for standard output; or the "
        "folder to write. .npy puts the words beside it into .word, and gensim a large table's "
        "vectors into .vectors.npy: these never replace a file with other content",
    )  # fmt: skip
    add(
        "--to", choices=[*FORMATS, *DTYPES], required=True,
        help="for a table, the format: word2vec is binary if the output's name ends in .bin; for "
        "a model's folder, the type of its tables",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: The output cannot be written, or the format cannot hold a word.
    """
    if arguments.file.is_dir() and not is_table_directory(arguments.file):
        _export_model(arguments)
        return
    if arguments.to in DTYPES:
        if not arguments.file.exists():
            raise InputError(f"{arguments.file} does not exist; wanted a model's folder")
        raise InputError(
            f"--to {arguments.to} is for a model's folder, but {arguments.file} is a table; "
            f"wanted one of {', '.join(FORMATS)}"
        )
    if arguments.output is Standard.STREAM:
        _export_to_standard_output(arguments)
        return
    check_output(arguments.output, [arguments.file])
    embedding = load_table(arguments.file)
    written = export(embedding, arguments.output, arguments.to)
    sizes = {str(path): path.stat().st_size for path in written}
    print_facts(arguments, {"files": sizes}, {path: format_bytes(n) for path, n in sizes.items()})


def _export_to_standard_output(arguments: argparse.Namespace) -> None:
    check_standard_output(arguments)
    embedding = load_table(arguments.file)
    if arguments.to == "npy" and embedding.has_words:
        warnings.warn(
            "a .npy file has no room for words, so standard output gets the vectors alone; with "
            "the name of a file, the words go into a .word file beside it",
            stacklevel=2,
        )
    sys.stdout.flush()
    with suppress(Unread):  # whoever reads has had enough
        export_to_stream(embedding, BinaryOutput(), arguments.to)


def _export_model(arguments: argparse.Namespace) -> None:
    from nncompress.models.decoding import decode_folder

    if arguments.output is Standard.STREAM:
        raise InputError(
            f"{arguments.file} is a folder, and standard output takes one file; name a folder to "
            "write"
        )
    if arguments.to in FORMATS:
        raise InputError(
            f"--to {arguments.to} is for a table, but {arguments.file} is a folder; wanted one of "
            f"{', '.join(DTYPES)}, for a model with compressed tables"
        )
    tables = decode_folder(arguments.file, arguments.output, arguments.to)
    facts = {"folder": str(arguments.output), "tables": dict(tables), "dtype": arguments.to}
    lines = {name: "{:,} x {:,} of {}".format(*shape, arguments.to) for name, shape in tables}
    print_facts(arguments, facts, lines)
