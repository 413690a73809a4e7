"""A Chainer link to use instead of ``chainer.links.EmbedID``."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.packing import Packing


# Type checkers cannot see into chainer, whose module is built when it is imported.
class CompositionalEmbedID(chainer.Link):
    """Looks rows up as sums of codewords; gradients reach the codebook.

    Args:
        in_size: N.
        out_size: D.
        num_codebooks: M.
        bits: Bits of a code; a group has ``2**bits`` codewords.
        trainable: Whether to train the codebook.
        ignore_label: A row number that stands for a row of zeros, or None.

    Attributes:
        codebook: float32 ``(M * 2**bits, D)``: a parameter if it is trained, otherwise a
            persistent array.
        codes: Persistent array, uint8 ``(N, row_bytes)``: packed codes.
    """

    def __init__(
        self,
        in_size: int,
        out_size: int,
        num_codebooks: int,
        bits: int,
        trainable: bool = False,
        ignore_label: int | None = None,
    ) -> None:
        super().__init__()
        self.ignore_label = ignore_label
        self._packing = Packing(num_codebooks, bits)
        self.out_size = out_size
        codebook = np.zeros((num_codebooks << bits, out_size), dtype=np.float32)
        if trainable:
            with self.init_scope():
                self.codebook = chainer.Parameter(codebook)
        else:
            self.add_persistent("codebook", codebook)
        self.add_persistent("codes", np.zeros((in_size, self._packing.row_bytes), dtype=np.uint8))

    @classmethod
    def of(cls, table: CodeTable, trainable: bool) -> "CompositionalEmbedID":
        """Copies a table's codes and codebook."""
        link = cls(table.num_rows, table.dim, table.num_codebooks, table.packing.bits, trainable)
        codebook = link.codebook.array if trainable else link.codebook
        codebook[...] = table.codewords
        link.codes[...] = table.packed
        return link

    def forward(
        self,
        x: chainer.Variable | np.ndarray,
    ) -> chainer.Variable:
        """Returns rows, float32 of the shape of ``x`` followed by D.

        Args:
            x: Row numbers, integers of any shape.
        """
        numbers = x.array if isinstance(x, chainer.Variable) else x
        ignored = None if self.ignore_label is None else numbers == self.ignore_label
        if ignored is not None:
            numbers = self.xp.where(ignored, 0, numbers)
        groups = self.xp.arange(self._packing.count, dtype=np.int32) << self._packing.bits
        units = self._packing.unpack(self.codes[numbers.reshape(-1)], self.xp) + groups
        rows = gather_rows(chainer.as_variable(self.codebook), units)
        total = chainer.functions.sum(rows, axis=1).reshape(*numbers.shape, self.out_size)
        if ignored is None:
            return total
        return total * (~ignored)[..., None].astype(total.dtype)
