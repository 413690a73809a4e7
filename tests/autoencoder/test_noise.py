import numpy as np
import pytest

from nncompress.autoencoder.noise import Stream, gumbel_noise


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_follows_the_gumbel_distribution(dtype):
    draws = np.sort(gumbel_noise(3, Stream.TRAINING_NOISE, 5, (200_000,), dtype).astype(float))
    assert np.isfinite(draws).all()
    expected = np.exp(-np.exp(-draws))
    empirical = np.arange(1, len(draws) + 1) / len(draws)
    # Kolmogorov-Smirnov: at 1.95 / sqrt(n) the null hypothesis is rejected once in a thousand.
    assert np.abs(expected - empirical).max() < 1.95 / np.sqrt(len(draws))


def test_noise_depends_on_seed_stream_and_position_and_on_nothing_else():
    def draw(seed, stream, position):
        return gumbel_noise(seed, stream, position, (64, 8, 4)).ravel()

    base = draw(0, Stream.TRAINING_NOISE, 0)
    assert (base == draw(0, Stream.TRAINING_NOISE, 0)).all()
    others = [
        draw(1, Stream.TRAINING_NOISE, 0),
        draw(0, Stream.VALIDATION_NOISE, 0),
        draw(0, Stream.TRAINING_NOISE, 1),
    ]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 4 / np.sqrt(base.size)
