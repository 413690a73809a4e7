import numpy as np
import pytest
from cifar10.cifar10_compression import Cifar10Network

from nncompress.chainer_support.compatibility import chainer

L = chainer.links


@pytest.fixture
def network():
    np.random.seed(0)
    return Cifar10Network(3, 24)


def test_weights_and_biases_begin_as_in_the_tutorial(network):
    for name, deviation, bias in (
        ("conv1", 0.05, 0.0),
        ("conv2", 0.05, 0.1),
        ("local3", 0.04, 0.1),
        ("local4", 0.04, 0.1),
        ("softmax_linear", 1 / 192, 0.0),
    ):
        weights = network[name].W.array
        assert np.abs(weights).max() <= 2 * deviation
        assert np.abs(weights).max() > 1.9 * deviation
        # What is left of a normal distribution within two deviations of its mean has this one.
        assert weights.std() == pytest.approx(0.8796 * deviation, rel=0.05)
        assert abs(weights.mean()) < 0.1 * deviation
        assert (network[name].b.array == np.float32(bias)).all()


def windows(h, size, stride, below):
    """Returns squares of images with a margin, as TensorFlow's SAME has it.

    An odd row or column of the margin is at the end.

    Args:
        h: Images, ``(n, c, height, width)``; ``stride`` divides height and width.
        size: Height and width of a square.
        stride: From one square to the next.
        below: What the margin is filled with.

    Returns:
        ``(n, c, height / stride, width / stride, size, size)``.
    """
    before, after = (size - stride) // 2, -((stride - size) // 2)
    padded = np.pad(h, [(0, 0), (0, 0), (before, after), (before, after)], constant_values=below)
    every = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return every[:, :, ::stride, ::stride]


def convolved(h, link):
    products = np.tensordot(windows(h, 5, 1, 0), link.W.array, [(1, 4, 5), (1, 2, 3)])
    return np.maximum(products + link.b.array, 0).transpose(0, 3, 1, 2)


def pooled(h):
    return windows(h, 3, 2, -np.inf).max(axis=(4, 5))


def normalized(h):
    squares = np.pad(h**2, [(0, 0), (4, 4), (0, 0), (0, 0)])
    sums = np.lib.stride_tricks.sliding_window_view(squares, 9, axis=1).sum(axis=-1)
    return h / (1 + 0.001 / 9 * sums) ** 0.75


@pytest.mark.parametrize(("channels", "size"), [(3, 24), (1, 8)])
def test_the_network_computes_what_the_tutorials_does(random, channels, size):
    network = Cifar10Network(channels, size)
    x = random.normal(size=(2, channels, size, size)).astype(np.float32)
    h = normalized(pooled(convolved(x, network.conv1)))
    h = pooled(normalized(convolved(h, network.conv2))).reshape(2, -1)
    for link in (network.local3, network.local4):
        h = np.maximum(h @ link.W.array.T + link.b.array, 0)
    expected = h @ network.softmax_linear.W.array.T + network.softmax_linear.b.array
    with chainer.no_backprop_mode():
        np.testing.assert_allclose(network(x).array, expected, rtol=1e-4, atol=1e-5)
