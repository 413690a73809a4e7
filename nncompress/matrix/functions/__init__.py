"""Chainer functions of factors: products with a matrix that is not formed, and rows of it.

Each is one function node, as what Chainer does around a node takes as long as a small product.
Gradients of gradients go through Chainer's own functions. On a CPU in float32 kernels of
``nncompress.cpu`` compute what NumPy has no quick way for.
"""
