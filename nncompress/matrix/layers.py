"""Chainer's layers whose result is computed by a compression op, without forming its matrix.

A subclass of such a layer gets here if its forward calls ``super().forward``; if its forward reads
``W`` instead, it works with the effective matrix.
"""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError

F, L = chainer.functions, chainer.links


class CompressedLinear(L.Linear):
    """``L.Linear`` whose product is computed by the op."""

    def forward(self, x: chainer.Variable, n_batch_axes: int = 1) -> chainer.Variable:
        """Returns the same as ``L.Linear``."""
        if n_batch_axes < 1:
            raise InputError(f"n_batch_axes is {n_batch_axes}; wanted at least 1")
        outer = x.shape[:n_batch_axes]
        if x.ndim != 2 or n_batch_axes != 1:
            x = F.reshape(x, (int(np.prod(outer)), int(np.prod(x.shape[n_batch_axes:]))))
        y = self.compression_op("W").get_apply_matmul(x, self.b)
        return y if n_batch_axes == 1 else F.reshape(y, (*outer, y.shape[1]))


class CompressedConvolution2D(L.Convolution2D):
    """``L.Convolution2D`` whose convolution is computed by the op, unless it has groups."""

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the same as ``L.Convolution2D``."""
        if self.groups != 1:
            return super().forward(x)
        options = {"stride": self.stride, "pad": self.pad, "dilate": self.dilate}
        shape = self._compressed_matrices["W"].shape
        return self.compression_op("W").get_apply_convolution(x, shape, b=self.b, **options)


class CompressedEmbedID(L.EmbedID):
    """``L.EmbedID`` whose rows are looked up by the op."""

    def forward(self, x: np.ndarray) -> chainer.Variable:
        """Returns the same as ``L.EmbedID``."""
        ids = x.array if isinstance(x, chainer.Variable) else x
        op = self.compression_op("W")
        if self.ignore_label is None:
            return op.get_apply_embedding_lookup(ids)
        known = ids != self.ignore_label
        rows = op.get_apply_embedding_lookup(self.xp.where(known, ids, 0))
        shares = self.xp.broadcast_to(known[..., None], rows.shape)
        return F.where(shares, rows, self.xp.zeros_like(rows.array))


FASTER_LAYERS = {
    L.Linear: CompressedLinear,
    L.Convolution2D: CompressedConvolution2D,
    L.EmbedID: CompressedEmbedID,
}
