"""Random numbers determined by purpose and position, so that there is no state to save.

The Gumbel noise of a batch comes from Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As
Easy as 1, 2, 3", SC 2011). Its key is the seed, in two words. Its counter is the row's position in
the batch, the index of a group of four columns (``m * ceil(K/4) + k // 4``; the four words of the
result belong to four consecutive k), and the draw's position with its stream. So each number can
be computed by itself, in any order: the kernels in ``nncompress/cpu/philox.py`` and
``nncompress/gpu/cuda/random.cuh`` draw the same numbers.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Purposes of random numbers; the streams of one seed are independent of each other."""

    INITIAL_WEIGHTS = 0
    ROW_ORDER = 1
    TRAINING_NOISE = 2
    VALIDATION_NOISE = 3
    PERTURBATION = 4
    RESIDUAL_START = 5
    CALL_NOISE = 6
    EVALUATION_NOISE = 7
    DISTORTIONS = 8


def generator(seed: int, stream: Stream, position: int = 0) -> np.random.Generator:
    """Returns the generator for one position of one stream.

    Args:
        seed: The run's seed, not negative.
        stream: The purpose of the numbers.
        position: Number of the draw within the stream, not negative.
    """
    sequence = np.random.SeedSequence((seed, int(stream), position))
    return np.random.Generator(np.random.Philox(sequence))


def noise_words(seed: int, stream: Stream, position: int) -> np.ndarray:
    """Returns the words of the key and the counter that a draw shares, uint32 ``(4,)``."""
    words = (
        *(seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF),
        *(position & 0xFFFFFFFF, int(stream) | (position >> 32 & 0xFFFFFF) << 8),
    )
    return np.array(words, dtype=np.uint32)


def philox(counter: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Computes Philox4x32-10 for many counters.

    Args:
        counter: Four uint64 arrays of 32-bit words, broadcast against each other.
        key: Two words.

    Returns:
        Four uint64 arrays of 32-bit words.
    """
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    key0, key1 = (np.uint64(word) for word in key)
    c0, c1, c2, c3 = counter
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = p1 >> half ^ c1 ^ key0, p1 & low, p0 >> half ^ c3 ^ key1, p0 & low
        key0 = key0 + np.uint64(0x9E3779B9) & low
        key1 = key1 + np.uint64(0xBB67AE85) & low
    return [c0, c1, c2, c3]


def gumbel_noise(
    seed: int,
    stream: Stream,
    position: int,
    shape: tuple[int, int, int],
    dtype: type = np.float32,
    first_row: int = 0,
) -> np.ndarray:
    """Draws from Gumbel(0, 1), as the negative logarithm of Exponential(1).

    Args:
        seed: The run's seed.
        stream: The purpose of the noise.
        position: Number of the draw within the stream, for instance the iteration.
        shape: ``(rows, M, K)``.
        dtype: float32 or float64.
        first_row: Position in the batch of the first of these rows.

    Returns:
        Finite numbers of that shape and dtype.
    """
    num_rows, num_codebooks, num_codewords = shape
    width = -(-num_codewords // 4)
    *key, c2, c3 = noise_words(seed, stream, position).astype(np.uint64)
    row = np.arange(first_row, first_row + num_rows, dtype=np.uint64)[:, None]
    column = np.arange(num_codebooks * width, dtype=np.uint64)[None, :]
    words = philox([row, column, np.broadcast_to(c2, (1, 1)), np.broadcast_to(c3, (1, 1))], key)
    uniform = (np.stack(words, axis=2) + 0.5) * 2.0**-32
    uniform = uniform.reshape(num_rows, num_codebooks, 4 * width)[:, :, :num_codewords]
    return -np.log(-np.log1p(-uniform)).astype(dtype)
