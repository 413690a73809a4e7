#!/usr/bin/env python
"""Decode a trained model: ``nncompress decode`` as a script."""

from nncompress.cli import entry, signals

if __name__ == "__main__":
    signals.at_once()

from functools import partial

with entry.base_install():
    from nncompress.cli import alone, decode, errors

main = partial(alone.main, decode)

if __name__ == "__main__":
    errors.run(main)
