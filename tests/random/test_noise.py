import numpy as np
import pytest

from nncompress.cpu import philox as kernel
from nncompress.random.noise import Stream, gumbel_noise, noise_words, philox

# Known answers published with Random123 (kat_vectors): counter, key, result.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    (
        [0xFFFFFFFF] * 4,
        [0xFFFFFFFF] * 2,
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
    ),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, expected):
    words = philox([np.array([word], np.uint64) for word in counter], key)
    assert [int(word[0]) for word in words] == expected
    assert [int(word) for word in kernel.philox(*map(np.uint32, (*counter, *key)))] == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("position", [0, 5, 2**33 + 1])
def test_kernels_draw_the_same_noise(dtype, position):
    seed = 2**40 + 3
    expected = gumbel_noise(seed, Stream.TRAINING_NOISE, position, (100, 3, 6), np.float64)
    words = noise_words(seed, Stream.TRAINING_NOISE, position)
    draws, bits = np.empty((4, 90), dtype), np.empty((4, 90), np.uint32)
    for group in range(3):
        for quarter in range(2):
            kernel.draw_exponentials(draws, bits, 10, group * 2 + quarter, words)
            for j in range(4 - 2 * quarter):
                found = -np.log(draws[j].astype(np.float64))
                np.testing.assert_allclose(
                    found, expected[10:, group, 4 * quarter + j], rtol=1e-6, atol=1e-6
                )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_follows_the_gumbel_distribution(dtype):
    draws, bits = np.empty((4, 100_000), dtype), np.empty((4, 100_000), np.uint32)
    kernel.draw_exponentials(draws, bits, 0, 7, noise_words(3, Stream.TRAINING_NOISE, 5))
    gumbel = np.sort(-np.log(draws.ravel().astype(np.float64)))
    assert np.isfinite(gumbel).all()
    expected = np.exp(-np.exp(-gumbel))
    empirical = np.arange(1, len(gumbel) + 1) / len(gumbel)
    # Kolmogorov-Smirnov: at 1.95 / sqrt(n) the null hypothesis is rejected once in a thousand.
    assert np.abs(expected - empirical).max() < 1.95 / np.sqrt(len(gumbel))


def test_noise_is_independent_across_rows_codewords_iterations_streams_and_seeds():
    def draw(seed=0, stream=Stream.TRAINING_NOISE, position=0):
        return gumbel_noise(seed, stream, position, (64, 8, 16))

    base = draw()
    assert (base == draw()).all()
    pairs = {
        "row": (base[:-1], base[1:]),
        "group": (base[:, :-1], base[:, 1:]),
        "codeword": (base[:, :, :-1], base[:, :, 1:]),
        "iteration": (base, draw(position=1)),
        "far iteration": (base, draw(position=2**32)),
        "stream": (base, draw(stream=Stream.VALIDATION_NOISE)),
        "seed": (base, draw(seed=1)),
        "far seed": (base, draw(seed=2**32)),
    }
    for name, (one, other) in pairs.items():
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(one.size), name
