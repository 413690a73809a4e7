"""The command ``nncompress``: compress a table of vectors, and look into the result."""

import argparse

from nncompress.cli import (
    analogy,
    compress,
    decode,
    encode,
    evaluate,
    export,
    fetch,
    import_codes,
    index,
    info,
    learn,
    memory,
    merge,
    quantize,
    refine,
    similar,
    train,
)
from nncompress.cli.completion import add_completion
from nncompress.cli.outputs import telling_of_outputs
from nncompress.cli.standard_streams import standard_streams
from nncompress.cli.together import Parser, add_version
from nncompress.errors import InputError
from nncompress.progress import overall

PROGRAM = "nncompress"
COMMANDS = {
    "fetch": fetch,
    "compress": compress,
    "info": info,
    "similar": similar,
    "analogy": analogy,
    "evaluate": evaluate,
    "export": export,
    "import": import_codes,
    "learn": learn,
    "refine": refine,
    "encode": encode,
    "merge": merge,
    "index": index,
    "train": train,
    "decode": decode,
    "quantize": quantize,
}


def main(argv: list[str] | None = None) -> None:
    """Runs the command line ``nncompress``."""
    arguments = _parser().parse_args(argv)
    try:
        with (
            memory.advising(COMMANDS[arguments.command]),
            telling_of_outputs(arguments, PROGRAM),
            standard_streams(arguments),
            overall(),
        ):
            arguments.run(arguments)
    except KeyError as error:  # a word that is not there
        raise InputError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=PROGRAM,
        description="Compress tables of vectors, and use the results. "
        "For a command's arguments: nncompress COMMAND --help",
        epilog="example: nncompress compress glove.6B.300d.txt glove.nnc",
    )
    add_version(parser)
    add_completion(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, module in COMMANDS.items():
        what = module.__doc__.strip()
        sub = commands.add_parser(
            name,
            help=what[0].lower() + what[1:].rstrip("."),
            description=what,
            epilog=f"example: nncompress {name} {module.EXAMPLE}",
        )
        sub.set_defaults(run=module.run)
        module.add_arguments(sub)
    return parser
