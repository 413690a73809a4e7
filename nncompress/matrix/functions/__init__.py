"""Chainer functions of factors: products with a matrix that is never formed, and rows of it.

Each is a single function node, because Chainer's overhead per node is as large as a small product.
Gradients of gradients go through Chainer's own functions. On a CPU in float32, kernels of
``nncompress.cpu`` compute what NumPy cannot do quickly.
"""
