"""A PyTorch module in the place of ``torch.nn.Embedding``."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.packing import Packing


class CompositionalEmbedding(nn.Module):
    """Looks rows up as sums of codewords; gradients reach the codebook.

    Its state dict holds ``codes``, the packed codes, and ``codebook``, so that a module of the
    same sizes takes it over.

    Args:
        num_embeddings: N.
        embedding_dim: D.
        num_codebooks: M.
        bits: Bits of a code; a group has ``2**bits`` codewords.
        trainable: Whether the codebook is trained.

    Attributes:
        codes: Buffer, uint8 ``(N, row_bytes)``.
        codebook: Parameter, float32 ``(M * 2**bits, D)``.
    """

    codes: torch.Tensor
    codebook: nn.Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        num_codebooks: int,
        bits: int,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.num_codebooks = num_codebooks
        self.bits = bits
        row_bytes = Packing(num_codebooks, bits).row_bytes
        self.register_buffer("codes", torch.zeros(num_embeddings, row_bytes, dtype=torch.uint8))
        self.codebook = nn.Parameter(
            torch.zeros(num_codebooks << bits, embedding_dim), requires_grad=trainable
        )

    @classmethod
    def of(cls, table: CodeTable, trainable: bool) -> "CompositionalEmbedding":
        """Copies a table's codes and codebook."""
        module = cls(table.num_rows, table.dim, table.num_codebooks, table.packing.bits, trainable)
        module.codes.copy_(torch.from_numpy(np.array(table.packed)))
        with torch.no_grad():
            module.codebook.copy_(torch.from_numpy(np.array(table.codewords)))
        return module

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns rows of the codebook's type, D longer than the shape of ``input``.

        Args:
            input: Row numbers, int32 or int64 of any shape.
        """
        units = self._units(self.codes[input.reshape(-1)])
        rows = functional.embedding_bag(units, self.codebook, mode="sum")
        return rows.reshape(*input.shape, self.embedding_dim)

    @property
    def weight(self) -> torch.Tensor:
        """The decoded table, ``(N, D)``, made anew each time: for tied output layers."""
        return functional.embedding_bag(self._units(self.codes), self.codebook, mode="sum")

    def extra_repr(self) -> str:
        """Returns the sizes."""
        return (
            f"{self.num_embeddings}, {self.embedding_dim}, M={self.num_codebooks}, "
            f"bits={self.bits}"
        )

    def _units(self, packed: torch.Tensor) -> torch.Tensor:
        """Returns the numbers of the codewords of packed rows, int64 ``(n, M)``."""
        groups = torch.arange(self.num_codebooks, device=packed.device)
        first = groups * self.bits
        values = torch.zeros(
            len(packed), self.num_codebooks, dtype=torch.int64, device=packed.device
        )
        for offset in range((self.bits + 14) // 8):
            byte = torch.clamp((first >> 3) + offset, max=packed.shape[1] - 1)
            values |= packed[:, byte].to(torch.int64) << 8 * offset
        values = (values >> (first & 7)) & (1 << self.bits) - 1
        return values + (groups << self.bits)
