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


@pytest.mark.parametrize(("channels", "size"), [(3, 24), (1, 8)])
def test_the_network_is_the_tutorials_in_pytorch(random, channels, size):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    network = Cifar10Network(channels, size)
    x = random.normal(size=(2, channels, size, size)).astype(np.float32)

    def parameters(name):
        return (torch.from_numpy(each.array) for each in (network[name].W, network[name].b))

    def pooled(h):  # TensorFlow's SAME: a row and a column more at the end
        return functional.max_pool2d(functional.pad(h, (0, 1, 0, 1), value=-torch.inf), 3, 2)

    def normalized(h):  # over a radius of 4; PyTorch divides its alpha by the nine channels
        return functional.local_response_norm(h, 9, alpha=0.001, beta=0.75, k=1.0)

    weights, bias = parameters("conv1")
    h = functional.conv2d(torch.from_numpy(x), weights, bias, padding=2).relu()
    weights, bias = parameters("conv2")
    h = functional.conv2d(normalized(pooled(h)), weights, bias, padding=2).relu()
    h = pooled(normalized(h)).flatten(1)
    for name in ("local3", "local4"):
        h = functional.linear(h, *parameters(name)).relu()
    expected = functional.linear(h, *parameters("softmax_linear"))
    with chainer.no_backprop_mode():
        np.testing.assert_allclose(network(x).array, expected.numpy(), rtol=1e-4, atol=1e-5)
