"""Links in the place of Chainer's, whose weights are compression ops."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.op_interface import CompressionOpInterface

F, L = chainer.functions, chainer.links


class CompressedParameter(chainer.Chain):
    """A matrix that was a bare parameter; called, it returns the matrix in its old shape."""

    def __init__(self, op: CompressionOpInterface, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape
        with self.init_scope():
            self.op = op

    def forward(self) -> chainer.Variable:
        """Returns the mix of the matrix and its compressed form."""
        return F.reshape(self.op.get_apply_compression(), self._shape)

    def get_apply_matmul(self, left_operand: chainer.Variable) -> chainer.Variable:
        """Returns the left operand times the transpose of the matrix, mixed as it is."""
        return self.op.get_apply_matmul(left_operand)


class CompressedLinear(chainer.Chain):
    """The link in the place of ``L.Linear``."""

    def __init__(self, op: CompressionOpInterface, link: L.Linear) -> None:
        super().__init__()
        with self.init_scope():
            self.op = op
            self.b = link.b

    def forward(self, x: chainer.Variable, n_batch_axes: int = 1) -> chainer.Variable:
        """Returns the result of the link whose place it takes."""
        outer = x.shape[:n_batch_axes]
        if x.ndim != 2 or n_batch_axes != 1:
            x = F.reshape(x, (int(np.prod(outer)), int(np.prod(x.shape[n_batch_axes:]))))
        y = self.op.get_apply_matmul(x)
        if self.b is not None:
            y = F.bias(y, self.b)
        return y if n_batch_axes == 1 else F.reshape(y, (*outer, y.shape[1]))


class CompressedConvolution2D(chainer.Chain):
    """The link in the place of ``L.Convolution2D``; its kernel is a matrix out x in*kh*kw."""

    def __init__(self, op: CompressionOpInterface, link: L.Convolution2D) -> None:
        super().__init__()
        self._kernel = link.W.shape
        self._options = {"stride": link.stride, "pad": link.pad, "dilate": link.dilate}
        with self.init_scope():
            self.op = op
            self.b = link.b

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        """Returns the result of the link whose place it takes."""
        y = self.op.get_apply_convolution(x, self._kernel, **self._options)
        return y if self.b is None else F.bias(y, self.b, axis=1)


class CompressedEmbedID(chainer.Chain):
    """The link in the place of ``L.EmbedID``."""

    def __init__(self, op: CompressionOpInterface, link: L.EmbedID) -> None:
        super().__init__()
        self.ignore_label = link.ignore_label
        with self.init_scope():
            self.op = op

    def forward(self, x: np.ndarray) -> chainer.Variable:
        """Returns the result of the link whose place it takes."""
        ids = x.array if isinstance(x, chainer.Variable) else x
        if self.ignore_label is None:
            return self.op.get_apply_embedding_lookup(ids)
        known = ids != self.ignore_label
        rows = self.op.get_apply_embedding_lookup(self.xp.where(known, ids, 0))
        return rows * self.xp.broadcast_to(known[..., None], rows.shape).astype(rows.dtype)


def compressed_link(op: CompressionOpInterface, link: chainer.Link) -> chainer.Chain:
    """Returns the link that takes another's place.

    Raises:
        InputError: There is none for this kind of link, or for grouped convolutions.
    """
    if isinstance(link, L.Convolution2D) and link.groups != 1:
        raise InputError("a convolution in groups is not one matrix; wanted groups=1")
    for kind, make in _LINKS.items():
        if type(link) is kind:
            return make(op, link)
    raise InputError(f"a link of type {type(link).__name__}; wanted {', '.join(KINDS)}")


_LINKS = {
    L.Linear: CompressedLinear,
    L.Convolution2D: CompressedConvolution2D,
    L.EmbedID: CompressedEmbedID,
}
KINDS = tuple(kind.__name__ for kind in _LINKS)


def can_be_compressed(link: chainer.Link) -> bool:
    """Tells whether there is a link to take another's place."""
    return type(link) in _LINKS
