#!/usr/bin/env python
"""Train, evaluate and export as the paper authors do: ``nncompress quantize`` as a script."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress.cli import entry, signals

if __name__ == "__main__":
    signals.at_once()

with entry.base_install():
    from nncompress.cli import alone, errors, quantize

main = partial(alone.main, quantize)

if __name__ == "__main__":
    errors.run(main)
