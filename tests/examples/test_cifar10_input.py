import numpy as np
import pytest
from cifar10.cifar10_input import distorted_inputs, evaluation_data, inputs, training_data


def plainly_standardized(image):
    """The tutorial's formula, in float64."""
    return (image - image.mean()) / max(image.std(), 1 / np.sqrt(image.size))


def squares(image):
    """All squares of 24 x 24 of an image, float64 (9, 9, 3, 24, 24)."""
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), (24, 24), (1, 2))
    return windows.transpose(1, 2, 0, 3, 4)


def centred(images):
    """Images without the mean of each channel, flat and of length 1."""
    images = images - images.mean(axis=(-1, -2), keepdims=True)
    flat = images.reshape(*images.shape[:-3], -1)
    return flat / np.linalg.norm(flat, axis=-1, keepdims=True)


def test_distorted_images_are_random_squares_flipped_or_not_with_another_contrast(random):
    images = random.integers(256, size=(150, 3, 32, 32), dtype=np.uint8)
    # Channels of different means, for that is where contrast shows.
    images = images // np.array([1, 2, 4], dtype=np.uint8)[:, None, None]
    places, flips, contrasts = [], [], []
    distorted = distorted_inputs(images, random)
    assert distorted.dtype == np.float32
    for image, result in zip(images, distorted, strict=True):
        every = squares(image)
        both = np.stack([every, every[..., ::-1]])
        likeness = centred(both) @ centred(result.astype(np.float64))
        flip, top, left = np.unravel_index(likeness.argmax(), likeness.shape)
        square = both[flip, top, left]
        # The contrast is what multiplies the pixels beside what multiplies the channels' means.
        means, seen = square.mean(axis=(1, 2)), result.astype(np.float64).mean(axis=(1, 2))
        by_pixel = result[0].std(dtype=np.float64) / square[0].std()
        contrast = by_pixel / ((seen[2] - seen[0]) / (means[2] - means[0]))
        changed = (square - means[:, None, None]) * contrast + means[:, None, None]
        np.testing.assert_allclose(result, plainly_standardized(changed), atol=1e-3)
        places += [top, left]
        flips.append(flip)
        contrasts.append(contrast)
    assert set(places) == set(range(9))
    assert 0.3 < np.mean(flips) < 0.7
    assert min(contrasts) > 0.199
    assert max(contrasts) < 1.801
    assert min(contrasts) < 0.4 < 1.6 < max(contrasts)


def test_brightness_is_taken_back_by_standardizing_as_in_the_tutorial(random):
    images = random.integers(200, size=(4, 3, 32, 32), dtype=np.uint8)
    first, second = (
        distorted_inputs(each, np.random.default_rng(3))
        for each in (images, images + np.uint8(50))
    )
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_images_to_evaluate_on_are_the_central_squares_standardized(random):
    images = random.integers(256, size=(5, 3, 32, 32), dtype=np.uint8)
    images[4] = 77  # of one colour: no division by nothing
    for image, result in zip(images, inputs(images), strict=True):
        expected = plainly_standardized(image[:, 4:28, 4:28].astype(np.float64))
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_digits_are_neither_distorted_nor_cut(tmp_path):
    train, distort = training_data("digits", tmp_path)
    test = evaluation_data("digits", tmp_path, "test")
    assert distort is None
    assert train[0][0].shape == test[0][0].shape == (1, 8, 8)


@pytest.mark.parametrize(("part", "number"), [("train", 40), ("test", 8)])
def test_each_part_of_cifar10_can_be_evaluated_on(cifar_folder, cifar_records, part, number):
    dataset = evaluation_data("cifar10", cifar_folder, part)
    assert len(dataset) == number
    record = cifar_records["data_batch_1.bin" if part == "train" else "test_batch.bin"][7]
    image, label = dataset[7]
    square = record[1:].reshape(3, 32, 32)[:, 4:28, 4:28].astype(np.float64)
    np.testing.assert_allclose(image, plainly_standardized(square), atol=1e-5)
    assert label == record[0]
