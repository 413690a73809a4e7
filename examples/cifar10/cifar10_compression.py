"""The network of TensorFlow's CIFAR-10 tutorial: two convolutions, local3 and local4."""

from nncompress.chainer_support.compatibility import chainer

F, L = chainer.functions, chainer.links

# What is compressed: the two large matrices, as in the original.
MATCH = "local*"
# For scikit-learn's digits, which need a few hundred steps; the original's is for 100,000.
DEFAULT_HPARAMS = (
    "name=cifar10_compression,alpha_decrement_value=0.02,begin_compression_step=300,"
    "compression_frequency=8,compression_option=1,rank=800"
)


class Cifar10Network(chainer.Chain):
    """Classifies images of one or three channels into ten classes.

    Args:
        channels: Channels of an image.
        size: Its height and width, which 4 divides.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(channels, 64, 5, pad=2)
            self.conv2 = L.Convolution2D(64, 64, 5, pad=2)
            self.local3 = L.Linear(64 * (size // 4) ** 2, 384)
            self.local4 = L.Linear(384, 192)
            self.softmax_linear = L.Linear(192, 10)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the logits ``(n, 10)`` of images ``(n, channels, size, size)``."""
        h = F.max_pooling_2d(F.relu(self.conv1(x)), 2, stride=2)
        h = F.local_response_normalization(h, n=9, k=1.0, alpha=0.001 / 9.0, beta=0.75)
        h = F.relu(self.conv2(h))
        h = F.local_response_normalization(h, n=9, k=1.0, alpha=0.001 / 9.0, beta=0.75)
        h = F.max_pooling_2d(h, 2, stride=2)
        h = F.relu(self.local3(h))
        return self.softmax_linear(F.relu(self.local4(h)))


def network_for(dataset: chainer.dataset.DatasetMixin) -> Cifar10Network:
    """Returns a network for the images of a dataset."""
    channels, size, _ = dataset[0][0].shape
    return Cifar10Network(channels, size)
