"""Codes and codebook as arrays and files, without Chainer."""
