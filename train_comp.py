#!/usr/bin/env python
"""Train the compositional autoencoder: ``nncompress train`` as a script."""

from nncompress.cli import entry, signals

if __name__ == "__main__":
    signals.at_once()

from functools import partial

with entry.base_install():
    from nncompress.cli import alone, errors, train

main = partial(alone.main, train)

if __name__ == "__main__":
    errors.run(main)
