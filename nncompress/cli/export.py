"""Write the decoded vectors, or a model's folder with its tables decoded."""

import argparse
from pathlib import Path

from nncompress.cli.printing import add_json, format_bytes, print_facts
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.export import FORMATS, export
from nncompress.embedding.table_directory import is_table_directory
from nncompress.errors import InputError
from nncompress.formats.files import check_output

# What the tables of a model's folder are decoded to.
DTYPES = ("float32", "float16", "bfloat16")
EXAMPLE = "glove.nnc glove.txt --to glove"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=Path, help="the .nnc file, or a model's folder with compressed tables")
    add("output", type=Path, help="the file or folder to write: a file is replaced if it is "
        "there; .npy puts the words beside it into .word, and gensim a large table's vectors into "
        ".vectors.npy: these are never replaced by something else")  # fmt: skip
    add("--to", choices=[*FORMATS, *DTYPES], required=True,
        help="of a table, its format: word2vec is binary if the output's name ends in .bin; of a "
        "model's folder, the type of its tables")  # fmt: skip


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
            f"--to {arguments.to} is for a model's folder, and {arguments.file} is a table; "
            f"wanted one of {', '.join(FORMATS)}"
        )
    check_output(arguments.output, [arguments.file])
    embedding = CompressedEmbedding.load(arguments.file)
    written = export(embedding, arguments.output, arguments.to)
    sizes = {str(path): path.stat().st_size for path in written}
    print_facts(arguments, {"files": sizes}, {path: format_bytes(n) for path, n in sizes.items()})


def _export_model(arguments: argparse.Namespace) -> None:
    from nncompress.models.decoding import decode_folder

    if arguments.to in FORMATS:
        raise InputError(
            f"--to {arguments.to} is for a table, and {arguments.file} is a folder; wanted one of "
            f"{', '.join(DTYPES)}, for a model with compressed tables"
        )
    tables = decode_folder(arguments.file, arguments.output, arguments.to)
    facts = {"folder": str(arguments.output), "tables": dict(tables), "dtype": arguments.to}
    lines = {name: "{:,} x {:,} of {}".format(*shape, arguments.to) for name, shape in tables}
    print_facts(arguments, facts, lines)
