#!/usr/bin/env python
"""Download real vectors to try things on: ``nncompress fetch`` as a script."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress.cli import entry, signals

if __name__ == "__main__":
    signals.at_once()

with entry.base_install():
    from nncompress.cli import alone, errors, fetch

main = partial(alone.main, fetch)

if __name__ == "__main__":
    errors.run(main)
