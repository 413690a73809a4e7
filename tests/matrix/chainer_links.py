"""Each of Chainer's links, small: how to make it and to call it, and which of it are matrices."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nncompress.chainer_support.compatibility import chainer

F, L = chainer.functions, chainer.links


@dataclass(frozen=True)
class Case:
    """A link.

    Attributes:
        make: Returns it.
        call: Returns its result; takes the link and random numbers.
        matrices: Names of the matrices that are compressed; none if it is passed over.
    """

    make: Callable
    call: Callable
    matrices: tuple[str, ...] = ("W",)


def images(random, *shape):
    return random.normal(size=shape).astype(np.float32)


def on(*shape):
    """Returns a call of a link on one array."""
    return lambda link, random: link(images(random, *shape))


def ids(*shape):
    return lambda link, random: link(random.integers(12, size=shape).astype(np.int32))


def twice(link, random):
    """Calls a link that keeps a state."""
    link.reset_state()
    return link(images(random, 3, 6)) + link(images(random, 3, 6))


def sequences(link, random):
    xs = [images(random, length, 6) for length in (2, 3, 1)]
    states = [None] * link.n_cells
    *_, ys = link(*states, xs)
    return F.concat(ys, axis=0)


def with_states(count):
    def call(link, random):
        states = [images(random, 3, 8) for _ in range(count)]
        results = link(*states, images(random, 3, 6))
        return sum(results) if isinstance(results, tuple) else results

    return call


def on_sequences_of_labels(link, random):
    xs = [images(random, 3, 5) for _ in range(4)]
    return link(xs, [random.integers(5, size=3).astype(np.int32) for _ in xs])


def with_labels(link, random):
    return link(images(random, 4, 6), random.integers(12, size=4).astype(np.int32))


def sampled(link, random):
    np.random.seed(1)  # the link samples from NumPy's global random numbers
    return with_labels(link, random)


def black_out():
    link = L.BlackOut(6, [1] * 12, 3)
    link.W.array[...] = np.random.normal(size=link.W.shape)
    return link


def negative_sampling():
    link = L.NegativeSampling(6, [1] * 12, 3)
    link.W.array[...] = np.random.normal(size=link.W.shape)
    return link


def deformable():
    make = chainer.initializers.Normal(0.3)
    return L.DeformableConvolution2D(2, 5, 3, pad=1, offset_initialW=make, deform_initialW=make)


def dropped(link, random):
    np.random.seed(2)
    return link(images(random, 4, 6))


def n_step(kind):
    layers = 2 if "Bi" in kind.__name__ else 1
    names = tuple(f"{i}/w{j}" for i in range(2 * layers) for j in range(kind.n_weights))
    return Case(lambda: kind(2, 6, 8, 0.0), sequences, names)


HUFFMAN = L.BinaryHierarchicalSoftmax.create_huffman_tree({i: i + 1 for i in range(12)})
GRU = ("U", "U_r", "U_z", "W", "W_r", "W_z")
INCEPTION = ("conv1", "conv3", "conv5", "proj3", "proj5", "projp")
IMAGE = 2, 4, 6, 6

CASES = {
    "Linear": Case(lambda: L.Linear(6, 8), on(4, 6)),
    "Linear of images": Case(lambda: L.Linear(6, 8, nobias=True), on(4, 3, 2)),
    "EmbedID": Case(lambda: L.EmbedID(12, 6), ids(4, 2)),
    "EmbedID with a label ignored": Case(lambda: L.EmbedID(12, 6, ignore_label=3), ids(9)),
    "Convolution1D": Case(lambda: L.Convolution1D(4, 5, 3, pad=1), on(2, 4, 6)),
    "Convolution2D": Case(lambda: L.Convolution2D(4, 5, 3, 2, 1, dilate=2), on(*IMAGE)),
    "Convolution2D in groups": Case(lambda: L.Convolution2D(4, 6, 3, groups=2), on(*IMAGE)),
    "Convolution3D": Case(lambda: L.Convolution3D(2, 5, 2), on(2, 2, 3, 4, 3)),
    "ConvolutionND": Case(lambda: L.ConvolutionND(2, 4, 6, 3, groups=2), on(*IMAGE)),
    "Deconvolution1D": Case(lambda: L.Deconvolution1D(4, 5, 3), on(2, 4, 6)),
    "Deconvolution2D": Case(
        lambda: L.Deconvolution2D(4, 5, 3, 2, 1),
        # Its gradient fails in Chainer itself where x needs none.
        lambda link, random: link(chainer.Variable(images(random, *IMAGE))),
    ),
    "Deconvolution3D": Case(lambda: L.Deconvolution3D(3, 5, 2), on(2, 3, 3, 2, 3)),
    "DeconvolutionND": Case(lambda: L.DeconvolutionND(2, 4, 6, 3, groups=2), on(*IMAGE)),
    "DilatedConvolution2D": Case(lambda: L.DilatedConvolution2D(4, 5, 3, 1, 2, 2), on(*IMAGE)),
    "DepthwiseConvolution2D": Case(lambda: L.DepthwiseConvolution2D(4, 3, 3), on(*IMAGE)),
    "DeformableConvolution2D": Case(deformable, on(1, 2, 5, 5), ("deform_conv", "offset_conv")),
    "LocalConvolution2D": Case(lambda: L.LocalConvolution2D(4, 3, 6, 3), on(*IMAGE)),
    "MLPConvolution2D": Case(lambda: L.MLPConvolution2D(4, (5, 3), 3), on(*IMAGE), ("0", "1")),
    "Inception": Case(lambda: L.Inception(4, 3, 3, 3, 3, 3, 3), on(*IMAGE), INCEPTION),
    "InceptionBN": Case(
        lambda: L.InceptionBN(4, 3, 3, 3, 3, 3, "avg", 3),
        on(*IMAGE),
        ("conv1", "conv3", "conv33a", "conv33b", "poolp", "proj3", "proj33"),
    ),
    "Bilinear": Case(
        lambda: L.Bilinear(3, 4, 5),
        lambda link, random: link(images(random, 2, 3), images(random, 2, 4)),
        ("V1", "V2", "W"),
    ),
    "Maxout": Case(lambda: L.Maxout(6, 4, 2), on(4, 6), ("linear",)),
    "Highway": Case(lambda: L.Highway(6), on(4, 6), ("plain", "transform")),
    "SimplifiedDropconnect": Case(lambda: L.SimplifiedDropconnect(6, 8), dropped),
    "Parameter": Case(
        lambda: L.Parameter(np.random.normal(size=(5, 4)).astype(np.float32)),
        lambda link, random: F.tanh(link.W),
    ),
    "Classifier": Case(lambda: L.Classifier(L.Linear(6, 12)), with_labels, ("predictor",)),
    "CRF1d": Case(
        lambda: L.CRF1d(5, chainer.initializers.Normal(1.0)), on_sequences_of_labels, ("cost",)
    ),
    "BinaryHierarchicalSoftmax": Case(
        lambda: L.BinaryHierarchicalSoftmax(6, HUFFMAN), with_labels
    ),
    "BlackOut": Case(black_out, sampled),
    "NegativeSampling": Case(negative_sampling, sampled),
    "LSTM": Case(lambda: L.LSTM(6, 8), twice, ("lateral", "upward")),
    "StatelessLSTM": Case(lambda: L.StatelessLSTM(6, 8), with_states(2), ("lateral", "upward")),
    "StatefulPeepholeLSTM": Case(
        lambda: L.StatefulPeepholeLSTM(6, 8),
        twice,
        ("lateral", "peep_f", "peep_i", "peep_o", "upward"),
    ),
    "StatefulZoneoutLSTM": Case(
        lambda: L.StatefulZoneoutLSTM(6, 8, 0.0, 0.0), twice, ("lateral", "upward")
    ),
    "ChildSumTreeLSTM": Case(
        lambda: L.ChildSumTreeLSTM(6, 8), with_states(4), ("W_h_aio", "W_h_f", "W_x")
    ),
    "NaryTreeLSTM": Case(lambda: L.NaryTreeLSTM(6, 8), with_states(4), ("W_h1", "W_h2", "W_x")),
    "GRU": Case(lambda: L.GRU(6, 8), twice, GRU),
    "StatefulGRU": Case(lambda: L.StatefulGRU(6, 8), twice, GRU),
    "StatelessGRU": Case(lambda: L.StatelessGRU(6, 8), with_states(1), GRU),
    "StatefulMGU": Case(lambda: L.StatefulMGU(6, 8), twice, ("W_f", "W_h")),
    "StatelessMGU": Case(lambda: L.StatelessMGU(6, 8), with_states(1), ("W_f", "W_h")),
    **{
        kind.__name__: n_step(kind)
        for kind in (
            *(L.NStepGRU, L.NStepLSTM, L.NStepRNNReLU, L.NStepRNNTanh),
            *(L.NStepBiGRU, L.NStepBiLSTM, L.NStepBiRNNReLU, L.NStepBiRNNTanh),
        )
    },
    "BatchNormalization": Case(lambda: L.BatchNormalization((4, 6, 6)), on(*IMAGE), ()),
    "BatchRenormalization": Case(lambda: L.BatchRenormalization(4), on(*IMAGE), ()),
    "DecorrelatedBatchNormalization": Case(
        lambda: L.DecorrelatedBatchNormalization(4, groups=2), on(*IMAGE), ()
    ),
    "GroupNormalization": Case(lambda: L.GroupNormalization(2, 4), on(*IMAGE), ()),
    "LayerNormalization": Case(lambda: L.LayerNormalization(6), on(4, 6), ()),
    "Bias": Case(lambda: L.Bias(1, (4, 6)), on(2, 4, 6), ()),
    "Scale": Case(lambda: L.Scale(1, (4, 6)), on(2, 4, 6), ()),
    "PReLU": Case(lambda: L.PReLU((4, 6)), on(2, 4, 6), ()),
    "Swish": Case(lambda: L.Swish((4, 6)), on(2, 4, 6), ()),
}
# Networks of tens of millions of weights, made of the links above, and what needs Theano.
TOO_LARGE = {
    *("GoogLeNet", "ResNet50Layers", "ResNet101Layers", "ResNet152Layers"),
    *("VGG16Layers", "VGG19Layers", "TheanoFunction"),
}
