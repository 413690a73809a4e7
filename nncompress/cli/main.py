"""The command ``nncompress``: compress a table of vectors, and look into the result."""

import argparse

from nncompress.cli import (
    analogy,
    compress,
    decode,
    encode,
    evaluate,
    export,
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
from nncompress.cli.together import Parser
from nncompress.errors import InputError
from nncompress.version import __version__

COMMANDS = {
    "compress": compress,
    "learn": learn,
    "refine": refine,
    "encode": encode,
    "merge": merge,
    "train": train,
    "decode": decode,
    "quantize": quantize,
    "info": info,
    "index": index,
    "similar": similar,
    "analogy": analogy,
    "evaluate": evaluate,
    "export": export,
    "import": import_codes,
}
_NEED_TRAIN = (
    *("compress", "learn", "refine", "encode", "merge", "index"),
    *("train", "decode", "quantize"),
)


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    arguments = _parser().parse_args(argv)
    try:
        with memory.advising(COMMANDS[arguments.command]):
            arguments.run(arguments)
    except KeyError as error:  # a word that is not there
        raise InputError(error.args[0]) from None
    except ImportError as error:
        if arguments.command not in _NEED_TRAIN:
            raise
        raise InputError(
            f"{error}: nncompress {arguments.command} needs more than is installed; "
            "pip install 'chainer-nncompress[train]'"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nncompress",
        description="Compress a table of vectors, and look into the result.",
        epilog="example: nncompress compress glove.6B.300d.txt glove.nnc",
    )
    parser.add_argument("--version", action="version", version=__version__)
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
