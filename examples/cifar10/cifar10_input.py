"""The images for the CIFAR-10 network: distorted for training, and plain for evaluation."""

from pathlib import Path

import numpy as np
from batches import Distort
from datasets import read_part

from nncompress.chainer_support.compatibility import chainer

IMAGE_SIZE = 24
# The largest change of brightness, in the units of the files' bytes, and the range of contrast.
_BRIGHTNESS, _CONTRAST = 63.0, (0.2, 1.8)


def distorted_inputs(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Distorts images as TensorFlow's tutorial does before training on them.

    Each image is cropped to a random square of 24 x 24, randomly flipped from left to right, made
    brighter or darker by up to 63, and changed in contrast by a factor of 0.2 to 1.8 (each channel
    about its mean); then it is standardized. As in the tutorial, standardization undoes the change
    of brightness, and all of the change of contrast except that between channels.

    Args:
        images: uint8 ``(n, 3, 32, 32)``.
        random: The random generator.

    Returns:
        float32 ``(n, 3, 24, 24)``.
    """
    number, _, height, width = images.shape
    top = random.integers(height - IMAGE_SIZE + 1, size=number)
    left = random.integers(width - IMAGE_SIZE + 1, size=number)
    is_flipped = random.random(number) < 0.5
    brightness = random.uniform(-_BRIGHTNESS, _BRIGHTNESS, number)
    contrast = random.uniform(*_CONTRAST, number)
    pixels = np.arange(IMAGE_SIZE)
    rows = top[:, None] + pixels
    columns = left[:, None] + np.where(is_flipped[:, None], pixels[::-1], pixels)
    cut = images[np.arange(number)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    cut = cut.transpose(0, 3, 1, 2).astype(np.float32)
    cut += brightness.astype(np.float32)[:, None, None, None]
    mean = cut.mean(axis=(2, 3), keepdims=True)
    return standardized((cut - mean) * contrast.astype(np.float32)[:, None, None, None] + mean)


def inputs(images: np.ndarray) -> np.ndarray:
    """Crops images to their central square of 24 x 24, and standardizes them.

    Args:
        images: uint8 ``(n, 3, 32, 32)``.

    Returns:
        float32 ``(n, 3, 24, 24)``.
    """
    top, left = ((size - IMAGE_SIZE) // 2 for size in images.shape[2:])
    cut = images[:, :, top : top + IMAGE_SIZE, left : left + IMAGE_SIZE]
    return standardized(cut.astype(np.float32))


def standardized(images: np.ndarray) -> np.ndarray:
    """Returns each image minus its mean, divided by its standard deviation.

    As in TensorFlow, the deviation is at least ``1 / sqrt(number of values in an image)``, for
    images of a single colour.
    """
    least = 1.0 / np.sqrt(np.prod(images.shape[1:]))
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    deviation = images.std(axis=(1, 2, 3), keepdims=True)
    return (images - mean) / np.maximum(deviation, np.float32(least))


def training_data(
    name: str, directory: Path
) -> tuple[chainer.datasets.TupleDataset, Distort | None]:
    """Returns images and labels for training, and the function that distorts a batch of them.

    Args:
        name: ``cifar10``, or ``digits``, which are not distorted.
        directory: Directory with CIFAR-10's files.
    """
    return read_part(name, directory, "train"), distorted_inputs if name == "cifar10" else None


def evaluation_data(name: str, directory: Path, part: str) -> chainer.datasets.TupleDataset:
    """Returns images and labels for evaluation.

    Args:
        name: ``cifar10`` or ``digits``.
        directory: Directory with CIFAR-10's files.
        part: ``train`` or ``test``.
    """
    dataset = read_part(name, directory, part)
    if name != "cifar10":
        return dataset
    images, labels = chainer.dataset.concat_examples(dataset[:])
    return chainer.datasets.TupleDataset(inputs(images), labels)
