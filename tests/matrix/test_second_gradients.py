"""Gradients of gradients, as gradient penalties and meta-learning take them."""

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import get_apply_compression

F = chainer.functions

OPTIONS = {
    "low rank": "compression_option=1,rank=300",
    "simhash": "compression_option=2,rank=50",
    "dictionary": "compression_option=3,rank=200",
    "dense dictionary": "compression_option=3,rank=1000",
    "k-means": "compression_option=4,rank=8,block_size=3",
    "compositional": "compression_option=5,num_codebooks=2,num_codewords=4",
    "pruning": "compression_option=8,rank=8,target_sparsity=0.25",
    "input-output": "compression_option=9,input_compression_factor=2,input_block_size=4,"
    "compress_output=True,output_compression_factor=2,output_block_size=4",
    "output": "compression_option=9,compress_input=False,compress_output=True,"
    "output_compression_factor=2,output_block_size=4",
    "blocks": "compression_option=10,block_compression_factor=4",
    "mixed blocks": "compression_option=12,compression_factor=4,num_bases=2",
}
SIZE, BATCH = 12, 5
USES = {
    "product": lambda op, x, b: op.get_apply_matmul(x, b),
    "product of a product": lambda op, x, b: op.get_apply_matmul(
        F.tanh(op.get_apply_matmul(x, b)), b
    ),
    "rows": lambda op, x, b: op.get_apply_embedding_lookup(np.array([3, 3, -1, 0, 7])),
    "matrix": lambda op, x, b: op.get_apply_compression(),
    "convolution": lambda op, x, b: op.get_apply_convolution(
        F.reshape(x, (BATCH, SIZE, 1, 1)), (SIZE, SIZE, 1, 1), b=b
    ),
}


def make(name, dtype, values=None):
    """Returns an op half of the way to its compressed form, where there is a way."""
    a = np.random.default_rng(1).normal(size=(SIZE, SIZE)).astype(dtype)
    applied = get_apply_compression(f"{OPTIONS[name]},alpha_decrement_value=0.5")
    applied.apply_compression(chainer.Parameter(a), "test")
    op = applied.get_last_compression_op()
    op.run_scheduled_update(10)
    if values is not None:
        chainer.serializers.NpzDeserializer(values).load(op)
    return op


def learned(op, use):
    """Returns a penalty on gradients' lengths, as WGAN-GP's, and the variables it depends on."""
    random = np.random.default_rng(2)
    x, b = (chainer.Parameter(random.normal(size=s)) for s in ((BATCH, SIZE), (SIZE,)))
    x.array, b.array = (one.array.astype(next(op.params()).dtype) for one in (x, b))
    inputs = [one for _, one in sorted(op.namedparams())]
    inputs += [] if use in ("rows", "matrix") else [x, b]

    def value():
        y = F.sum(F.tanh(USES[use](op, x, b)))
        found = chainer.grad([y], inputs, enable_double_backprop=True)
        return sum(F.sum((F.sum(gradient**2) - 1) ** 2) for gradient in found)

    return value, inputs


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_of_gradients_are_those_of_numerical_differentiation(random, name, use):
    """In float64 along random directions, and in float32 those of float64."""
    op = make(name, np.float64)
    value, inputs = learned(op, use)
    value().backward()
    for one in inputs:
        direction, old, values = random.normal(size=one.shape), one.array.copy(), []
        for sign in (1, -1):
            one.array[...] = old + sign * 1e-6 * direction
            values.append(float(value().array))
        one.array[...] = old
        expected = (values[0] - values[1]) / 2e-6
        found = float((one.grad * direction).sum())
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-4), one.name
    stored = chainer.serializers.DictionarySerializer()
    stored.save(op)
    value, singles = learned(make(name, np.float32, stored.target), use)
    value().backward()
    for one, other in zip(singles, inputs, strict=True):
        assert one.grad.dtype == np.float32
        assert one.grad.flags.c_contiguous  # ChainerMN loses what it adds up in others
        scale = np.abs(other.grad).max()
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-3, atol=1e-3 * scale)
