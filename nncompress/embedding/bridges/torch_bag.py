"""A PyTorch module to use instead of ``torch.nn.EmbeddingBag`` for means of rows."""

import numpy as np

from nncompress.missing import brought_by

with brought_by("torch"):
    import torch
    from torch import nn
    from torch.nn import functional

from nncompress.embedding.bridges.torch_module import TableEmbedding
from nncompress.embedding.token_rows import MAPPING, WEIGHTS


class TableEmbeddingBag(nn.Module):
    """Computes means of tokens' rows, decoding each row once for all bags.

    Args:
        table: The rows.
        weights: A factor for each token's row, ``(T,)``; None for no factors.
        mapping: Each token's row, int64 ``(T,)``; None where token t has row t.

    Attributes:
        table: As given.
        weights: Buffer, as given.
        mapping: Buffer, as given.
    """

    weights: torch.Tensor | None
    mapping: torch.Tensor | None

    def __init__(
        self,
        table: TableEmbedding,
        weights: torch.Tensor | None = None,
        mapping: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.table = table
        self.register_buffer(WEIGHTS, weights)
        self.register_buffer(MAPPING, mapping)

    @property
    def num_embeddings(self) -> int:
        """T, the number of tokens."""
        return self.table.num_embeddings if self.mapping is None else len(self.mapping)

    @property
    def embedding_dim(self) -> int:
        """D."""
        return self.table.embedding_dim

    def forward(self, input: torch.Tensor, offsets: torch.Tensor | None = None) -> torch.Tensor:
        """Returns the mean of each bag, ``(B, D)``, in the module's dtype.

        Args:
            input: Tokens, int32 or int64: ``(B, n)``, one bag per row, or ``(n,)`` with offsets.
            offsets: Where each bag begins, ``(B,)``. The mean of an empty bag is zero.

        Raises:
            IndexError: A token is out of range.
        """
        tokens, places = torch.unique(input, return_inverse=True)
        if len(tokens) and not 0 <= int(tokens[0]) <= int(tokens[-1]) < self.num_embeddings:
            raise IndexError(
                f"tokens from {int(tokens[0])} to {int(tokens[-1])}; wanted 0 to "
                f"{self.num_embeddings - 1}"
            )
        rows = self.table(tokens if self.mapping is None else self.mapping[tokens])
        if self.weights is not None:
            rows = rows * self.weights[tokens, None].to(rows)
        return functional.embedding_bag(places, rows, offsets, mode="mean")

    def extra_repr(self) -> str:
        """Returns the sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}, mode='mean'"


def beside(extras: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Returns the weights and the mapping in a table's ``extras``, as arguments of the module."""
    kinds = {WEIGHTS: np.float32, MAPPING: np.int64}
    return {
        name: torch.from_numpy(extras[name].astype(kind))
        for name, kind in kinds.items()
        if name in extras
    }
