"""``python -m nncompress`` is the command ``nncompress``."""

from nncompress.cli.entry import run

run()
