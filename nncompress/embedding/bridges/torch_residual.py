"""A PyTorch module in the place of ``torch.nn.Embedding``, for rows with a residual stage."""

import numpy as np
import torch
from torch import nn

from nncompress.embedding.bridges.torch_module import CompositionalEmbedding
from nncompress.embedding.residual import Residual
from nncompress.embedding.residual_sections import of_bytes, to_bytes
from nncompress.embedding.residual_table import ResidualTable
from nncompress.errors import InputError


class ResidualEmbedding(nn.Module):
    """Looks rows up as sums of codewords, if there are any, and a residual.

    Residuals are decoded by the CPU, wherever the module is, and have no gradient. They are part
    of the state dict, so that a module of the same sizes takes them over.

    Args:
        num_embeddings: N.
        embedding_dim: D.
        num_codebooks: M; 0 for residuals alone.
        bits: Bits of a code.
        trainable: Whether the codebook is trained.

    Attributes:
        additive: The sums of codewords; None without any.
    """

    _place: torch.Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        num_codebooks: int = 0,
        bits: int = 0,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.additive = None
        if num_codebooks:
            self.additive = CompositionalEmbedding(
                num_embeddings, embedding_dim, num_codebooks, bits, trainable
            )
        self._residual: Residual | None = None  # until a state is loaded
        # Tells the type and the device of what is returned.
        self.register_buffer("_place", torch.zeros(0), persistent=False)

    @classmethod
    def of(cls, table: ResidualTable, trainable: bool) -> "ResidualEmbedding":
        """Copies a table's codes and codebook, and shares its residuals."""
        module = cls(table.num_rows, table.dim)
        if table.additive is not None:
            module.additive = CompositionalEmbedding.of(table.additive, trainable)
        module._residual = table.residual
        return module

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns rows, D longer than the shape of ``input``, of the type that the module has.

        Args:
            input: Row numbers, int32 or int64 of any shape.

        Raises:
            IndexError: There is no such row.
        """
        numbers = input.detach().reshape(-1).cpu().numpy().astype(np.int64)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < self.num_embeddings:
            raise IndexError(f"row numbers up to {numbers.max()} and from {numbers.min()} on")
        rows, places = np.unique(numbers, return_inverse=True)
        decoded = torch.from_numpy(self._decoded(rows)[places]).to(self._place)
        decoded = decoded.reshape(*input.shape, self.embedding_dim)
        return decoded if self.additive is None else self.additive(input) + decoded

    @property
    def weight(self) -> torch.Tensor:
        """The decoded table, ``(N, D)``, made anew each time: for tied output layers."""
        return self(torch.arange(self.num_embeddings, device=self._place.device))

    def get_extra_state(self) -> torch.Tensor:
        """Returns the residuals as bytes, uint8."""
        if self._residual is None:
            return torch.zeros(0, dtype=torch.uint8)
        return torch.from_numpy(np.array(to_bytes(self._residual)))

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Takes residuals over.

        Raises:
            InputError: They are of a table of other sizes, or damaged.
        """
        residual = of_bytes(state.cpu().numpy()) if state.numel() else None
        if residual is not None:
            sizes = residual.num_rows, len(residual.mean)
            if sizes != (self.num_embeddings, self.embedding_dim):
                raise InputError(
                    f"the state's residuals are of a table of shape {sizes}; the module is of "
                    f"shape {(self.num_embeddings, self.embedding_dim)}"
                )
        self._residual = residual

    def extra_repr(self) -> str:
        """Returns the sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        total = np.zeros((len(rows), self.embedding_dim), np.float32)
        if self._residual is not None:
            self._residual.add_to(rows, total)
        return total
