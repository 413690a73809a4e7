"""``python -m nncompress`` is the command ``nncompress``."""

from nncompress.cli.main import run

run()
