"""The network of TensorFlow's CIFAR-10 tutorial, with the tutorial's training settings."""

import numpy as np
from training import Optimization

from nncompress.chainer_support.compatibility import chainer

F, L = chainer.functions, chainer.links

# The layers to compress: the two large ones, as in the original.
MATCH = "local*"
# For CIFAR-10, the values in the original's README; for digits, a ramp of some hundred steps.
DEFAULT_HPARAMS = {
    "cifar10": "name=cifar10_compression,alpha_decrement_value=0.005,begin_compression_step=40000,"
    "end_compression_step=100000,compression_frequency=100,compression_option=1,rank=200",
    "digits": "name=cifar10_compression,alpha_decrement_value=0.02,begin_compression_step=300,"
    "compression_frequency=8,compression_option=1,rank=800",
}
BATCH_SIZE = 128
OPTIMIZATION = Optimization(
    make_optimizer=lambda: chainer.optimizers.SGD(0.1),
    weight_decay={"local3": 0.004, "local4": 0.004},
    rate_decay=(0.1, 350.0),
    moving_average=0.9999,
)


class TruncatedNormal(chainer.initializer.Initializer):
    """Draws weights from a normal distribution, redrawing those beyond two standard deviations.

    Args:
        deviation: The distribution's standard deviation.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self._deviation = deviation

    def __call__(self, array: np.ndarray) -> None:
        """Fills an array."""
        values = np.random.standard_normal(array.shape)
        while (beyond := np.abs(values) > 2.0).any():
            values[beyond] = np.random.standard_normal(np.count_nonzero(beyond))
        array[...] = self._deviation * values


class Cifar10Network(chainer.Chain):
    """Classifies images of one or three channels into ten classes.

    Args:
        channels: Channels of an image.
        size: Its height and width, a multiple of 4.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        flat = 64 * (size // 4) ** 2
        with self.init_scope():
            self.conv1 = L.Convolution2D(
                channels, 64, 5, pad=2, initialW=TruncatedNormal(0.05), initial_bias=0.0
            )
            self.conv2 = L.Convolution2D(
                64, 64, 5, pad=2, initialW=TruncatedNormal(0.05), initial_bias=0.1
            )
            self.local3 = L.Linear(flat, 384, initialW=TruncatedNormal(0.04), initial_bias=0.1)
            self.local4 = L.Linear(384, 192, initialW=TruncatedNormal(0.04), initial_bias=0.1)
            self.softmax_linear = L.Linear(
                192, 10, initialW=TruncatedNormal(1 / 192), initial_bias=0.0
            )

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the logits ``(n, 10)`` of images ``(n, channels, size, size)``."""
        h = F.relu(self.conv1(x))
        h = _normalized(F.max_pooling_2d(h, 3, stride=2))
        h = _normalized(F.relu(self.conv2(h)))
        h = F.max_pooling_2d(h, 3, stride=2)
        h = F.relu(self.local3(h))
        return self.softmax_linear(F.relu(self.local4(h)))


def _normalized(h: chainer.Variable) -> chainer.Variable:
    """Normalizes over four channels on either side."""
    return F.local_response_normalization(h, n=9, k=1.0, alpha=0.001 / 9.0, beta=0.75)


def network_for(image: np.ndarray) -> Cifar10Network:
    """Returns a network for images with the shape of ``image``, ``(channels, size, size)``."""
    return Cifar10Network(image.shape[0], image.shape[1])
