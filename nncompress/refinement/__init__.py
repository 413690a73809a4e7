"""Improving codes and codebook after training, without Chainer."""
