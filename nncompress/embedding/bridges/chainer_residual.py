"""A Chainer link to use instead of ``chainer.links.EmbedID``, for rows with a residual stage."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.bridges.chainer_link import CompositionalEmbedID
from nncompress.embedding.residual import Residual
from nncompress.embedding.residual_sections import of_bytes, to_bytes
from nncompress.embedding.residual_table import ResidualTable
from nncompress.errors import InputError


class ResidualEmbedID(chainer.Chain):
    """Looks rows up as sums of codewords, if there are any, and a residual.

    Residuals are decoded on the CPU, wherever the link is, and have no gradient. They are saved
    with the link, so a link of the same sizes can load them.

    Args:
        in_size: N.
        out_size: D.
        num_codebooks: M; 0 for residuals alone.
        bits: Bits of a code.
        trainable: Whether to train the codebook.
        ignore_label: A row number that stands for a row of zeros, or None.

    Attributes:
        additive: The link that sums codewords; None for residuals alone.
    """

    def __init__(
        self,
        in_size: int,
        out_size: int,
        num_codebooks: int = 0,
        bits: int = 0,
        trainable: bool = False,
        ignore_label: int | None = None,
    ) -> None:
        super().__init__()
        self.in_size, self.out_size = in_size, out_size
        self.ignore_label = ignore_label
        self._residual: Residual | None = None  # None until a state is loaded
        self.additive: CompositionalEmbedID | None
        if num_codebooks:
            with self.init_scope():
                self.additive = CompositionalEmbedID(
                    in_size, out_size, num_codebooks, bits, trainable
                )
        else:
            self.additive = None

    @classmethod
    def of(cls, table: ResidualTable, trainable: bool) -> "ResidualEmbedID":
        """Copies a table's codes and codebook, and shares its residuals."""
        bits = 0 if table.additive is None else table.additive.packing.bits
        link = cls(table.num_rows, table.dim, table.num_codebooks, bits, trainable)
        if link.additive is not None and table.additive is not None:
            link.additive.copyparams(CompositionalEmbedID.of(table.additive, trainable))
        link._residual = table.residual
        return link

    def forward(self, x: chainer.Variable | np.ndarray) -> chainer.Variable:
        """Returns rows, float32 of the shape of ``x`` followed by D.

        Args:
            x: Row numbers, integers of any shape.

        Raises:
            IndexError: A row number is out of range.
        """
        numbers = x.array if isinstance(x, chainer.Variable) else x
        ignored = None if self.ignore_label is None else numbers == self.ignore_label
        if ignored is not None:
            numbers = self.xp.where(ignored, 0, numbers)
        wanted = chainer.get_device("@numpy").send(numbers).reshape(-1).astype(np.int64)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < self.in_size:
            raise IndexError(
                f"row numbers from {wanted.min()} to {wanted.max()}; wanted 0 to "
                f"{self.in_size - 1}"
            )
        rows, places = np.unique(wanted, return_inverse=True)
        decoded = np.zeros((len(rows), self.out_size), np.float32)
        if self._residual is not None:
            self._residual.add_to(rows, decoded)
        decoded = self.xp.asarray(decoded[places]).reshape(*numbers.shape, self.out_size)
        total = chainer.as_variable(decoded)
        if self.additive is not None:
            total += self.additive(numbers)
        if ignored is None:
            return total
        return total * (~ignored)[..., None].astype(total.dtype)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Writes or reads the codes, the codebook and the residuals.

        Raises:
            InputError: The residuals read belong to a table of other sizes, or are damaged.
        """
        super().serialize(serializer)
        if not isinstance(serializer, chainer.Deserializer):
            data = np.empty(0, np.uint8) if self._residual is None else to_bytes(self._residual)
            serializer("residual", data)
            return
        data = serializer("residual", None)
        residual = None if data is None or len(data) == 0 else of_bytes(np.asarray(data))
        if residual is not None:
            sizes = residual.num_rows, len(residual.mean)
            if sizes != (self.in_size, self.out_size):
                raise InputError(
                    f"the file's residuals belong to a table of shape {sizes}; the link has shape "
                    f"{(self.in_size, self.out_size)}"
                )
        self._residual = residual
