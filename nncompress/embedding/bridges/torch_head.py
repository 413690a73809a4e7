"""Output layers whose rows stay compressed."""

from nncompress.missing import brought_by

with brought_by("torch"):
    import torch
    from torch import nn

from nncompress.embedding.bridges.torch_module import TableEmbedding


class TiedHead(nn.Module):
    """An output layer that shares its rows with a ``TableEmbedding``.

    Args:
        embedding: The rows, which do not become parameters of this module.
        bias: Added to the logits, ``(N,)``; None for no bias.

    Attributes:
        bias: As given.
    """

    embedding: TableEmbedding
    bias: nn.Parameter | None

    def __init__(self, embedding: TableEmbedding, bias: nn.Parameter | None = None) -> None:
        super().__init__()
        self.__dict__["embedding"] = embedding  # not a child, whose state would be saved twice
        self.register_parameter("bias", bias)

    @property
    def weight(self) -> torch.Tensor:
        """The decoded table, ``(N, D)``, decoded anew on each access."""
        return self.embedding.weight

    @property
    def in_features(self) -> int:
        """D."""
        return self.embedding.embedding_dim

    @property
    def out_features(self) -> int:
        """N."""
        return self.embedding.num_embeddings

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns logits ``(..., N)`` of vectors ``(..., D)``."""
        logits = self.embedding.logits(input)
        return logits if self.bias is None else logits + self.bias

    def extra_repr(self) -> str:
        """Returns the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class TableHead(TableEmbedding):
    """An output layer with a compressed table of its own."""

    bias: nn.Parameter | None

    def __init__(self, *sizes, bias: nn.Parameter | None = None, **settings) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*sizes, **settings)
        self.register_parameter("bias", bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns logits ``(..., N)`` of vectors ``(..., D)``."""
        logits = self.logits(input)
        return logits if self.bias is None else logits + self.bias
