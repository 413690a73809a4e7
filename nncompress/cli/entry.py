"""The command ``nncompress`` as a program, which heeds signals while it is being imported."""

from nncompress.cli import signals


def run() -> None:
    """Runs the command as a program."""
    signals.at_once("nncompress")

    from nncompress.cli import errors
    from nncompress.cli.main import main

    errors.run(main, "nncompress")
