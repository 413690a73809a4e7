"""The random order of rows on a GPU, in NumPy: the twin of ``shuffled`` in ``cuda/random.cuh``.

Sources: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, section 3 (a
Feistel network, and cycle walking); Mitchell et al., "Bandwidth-Optimal Random Shuffling for
GPUs", ACM Transactions on Parallel Computing 2022.
"""

import numpy as np

from nncompress.random.noise import Stream, philox

_ROUNDS = 8
_WORD = np.uint64(0xFFFFFFFF)


def batch_rows(
    first: int,
    count: int,
    batch_size: int,
    num_rows: int,
    seed: int,
    short_batches: bool = False,
) -> np.ndarray:
    """Returns the rows of batches; a batch that crosses the end of an epoch continues in the next.

    Args:
        first: Number of the first batch, from 0.
        count: Number of batches.
        batch_size: Rows per batch.
        num_rows: N, at most ``2**32``.
        seed: The run's seed.
        short_batches: Whether such a batch ends with its epoch instead.

    Returns:
        int64 ``(count * batch_size,)``, or fewer if batches are cut short.
    """
    samples = np.arange(first * batch_size, (first + count) * batch_size)
    epoch_samples = -(-num_rows // batch_size) * batch_size if short_batches else num_rows
    samples = samples[samples % epoch_samples < num_rows]
    epochs = samples // epoch_samples
    return np.concatenate([
        shuffled(samples[epochs == epoch] % epoch_samples, num_rows, int(epoch), seed)
        for epoch in np.unique(epochs)
    ])  # fmt: skip


def shuffled(positions: np.ndarray, num_rows: int, epoch: int, seed: int) -> np.ndarray:
    """Returns the rows at positions of an epoch's random order.

    Args:
        positions: Integers in ``0 ... N-1``, ``(n,)``.
        num_rows: N, at most ``2**32``.
        epoch: Number of the epoch, from 0.
        seed: The run's seed.

    Returns:
        int64 ``(n,)``.
    """
    half = 1
    while 4**half < num_rows:
        half += 1
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    keys = _keys(epoch, seed)
    rows = np.asarray(positions, dtype=np.uint64)
    outside = np.ones(rows.shape, dtype=bool)
    while outside.any():
        walking = rows[outside]
        left, right = walking >> shift, walking & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        rows[outside] = left << shift | right
        outside = rows >= num_rows
    return rows.astype(np.int64)


def _keys(epoch: int, seed: int) -> list[np.uint64]:
    """Returns a key for each round of the network."""
    words = [epoch & 0xFFFFFFFF, epoch >> 32, 0, int(Stream.ROW_ORDER)]
    keys = []
    for first in range(0, _ROUNDS, 4):
        words[2] = first
        counter = [np.array([word], dtype=np.uint64) for word in words]
        keys += [word[0] for word in philox(counter, (seed & 0xFFFFFFFF, seed >> 32))]
    return keys


def _mixed(x: np.ndarray) -> np.ndarray:
    """Applies the finalizer of MurmurHash3 (Appleby) to 32-bit words."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = x ^ x >> np.uint64(shift)
        x = x * np.uint64(factor) & _WORD
    return x ^ x >> np.uint64(16)
