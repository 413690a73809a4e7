"""Random numbers by purpose and position, so that nothing random has a state to save."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for: streams of one seed are independent of each other."""

    INITIAL_WEIGHTS = 0
    ROW_ORDER = 1
    TRAINING_NOISE = 2
    VALIDATION_NOISE = 3


def generator(seed: int, stream: Stream, position: int = 0) -> np.random.Generator:
    """Returns the generator of one position of one stream.

    Args:
        seed: The run's seed, not negative.
        stream: What the numbers are for.
        position: Which draw: an iteration, an epoch or a batch, not negative.
    """
    sequence = np.random.SeedSequence((seed, int(stream), position))
    return np.random.Generator(np.random.Philox(sequence))


def gumbel_noise(
    seed: int, stream: Stream, position: int, shape: tuple[int, ...], dtype: type = np.float32
) -> np.ndarray:
    """Draws from Gumbel(0, 1), as minus the logarithm of Exponential(1).

    Args:
        seed: As for ``generator``.
        stream: As for ``generator``.
        position: As for ``generator``.
        shape: Shape of the result.
        dtype: float32 or float64.

    Returns:
        Finite numbers of that shape and type.
    """
    draws = generator(seed, stream, position).standard_exponential(shape, dtype=dtype)
    np.maximum(draws, np.finfo(dtype).tiny, out=draws)
    np.log(draws, out=draws)
    return np.negative(draws, out=draws)
