"""Kernels' formulas in NumPy."""

import numpy as np

from nncompress.autoencoder.noise import Stream, philox

_LOW = np.uint64(0xFFFFFFFF)


def mixed(x):
    """MurmurHash3's finalizer of words of 32 bits, held in uint64."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = x ^ x >> np.uint64(shift)
        x = x * np.uint64(factor) & _LOW
    return x ^ x >> np.uint64(16)


def shuffled(positions, size, epoch, seed):
    """Returns the rows at some positions of an epoch's random order: a Feistel network."""
    one = np.ones(1, np.uint64)
    words = [
        philox(
            [one * np.uint64(epoch & 0xFFFFFFFF), one * np.uint64(epoch >> 32),
             one * np.uint64(start), one * np.uint64(Stream.ROW_ORDER)],
            (seed & 0xFFFFFFFF, seed >> 32),
        )
        for start in (0, 4)
    ]  # fmt: skip
    keys = [word[0] for group in words for word in group]
    half = 1
    while 4**half < size:
        half += 1
    mask, shift = np.uint64(2**half - 1), np.uint64(half)
    rows = np.asarray(positions, dtype=np.uint64)
    outside = np.ones(rows.shape, dtype=bool)
    while outside.any():
        left, right = rows >> shift, rows & mask
        for key in keys:
            left, right = right, left ^ (mixed(right ^ key) & mask)
        rows = np.where(outside, left << shift | right, rows)
        outside &= rows >= size
    return rows.astype(np.int64)


def batch_rows(iteration, batchsize, size, seed):
    """Returns the rows of a training batch, ``(batchsize,)``."""
    samples = iteration * batchsize + np.arange(batchsize)
    return np.concatenate([
        shuffled(samples[samples // size == epoch] % size, size, int(epoch), seed)
        for epoch in np.unique(samples // size)
    ])  # fmt: skip
