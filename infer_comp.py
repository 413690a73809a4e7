#!/usr/bin/env python
"""Decode a trained model: ``nncompress decode`` as a script."""

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

from functools import partial

from nncompress.cli import alone, decode, errors

main = partial(alone.main, decode)

if __name__ == "__main__":
    errors.run(main)
