"""The rows of a compressed table in place of model2vec's array of vectors."""

from typing import Any

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.nnc_bytes import of_bytes, to_bytes
from nncompress.errors import InputError

FLOATS = ("float16", "float32", "float64")


class StaticRows:
    """A stand-in for the array ``(N, D)`` that model2vec indexes; rows are decoded on demand.

    ``astype`` and ``[:, :n]`` return another such object over the same compressed rows.

    Args:
        embedding: The compressed table.
        dtype: The type that rows are decoded to: float16, float32 or float64.
        dim: The number of leading columns; None for all.
    """

    ndim = 2

    def __init__(
        self,
        embedding: CompressedEmbedding,
        dtype: np.dtype | type | str = "float32",
        dim: int | None = None,
    ) -> None:
        name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        if name not in FLOATS:
            raise InputError(
                f"rows of a compressed table cannot be decoded to {name}; wanted one of "
                f"{', '.join(FLOATS)}"
            )
        self.embedding, self.dtype = embedding, np.dtype(name)
        self.shape = embedding.table.num_rows, embedding.table.dim if dim is None else dim

    @property
    def is_whole(self) -> bool:
        """Whether it has all columns."""
        return self.shape[1] == self.embedding.table.dim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> "np.ndarray | StaticRows":
        """Decodes rows, to an array of shape ``(*rows.shape, D)`` and type ``dtype``.

        Args:
            rows: An index that ``CompressedEmbedding.vectors`` takes, or ``(:, :n)`` for leading
                columns.

        Raises:
            IndexError: There is no such row, or the index is of another kind.
        """
        if isinstance(rows, tuple) and len(rows) == 2 and rows[0] == slice(None):
            return self._leading(rows[1])
        if isinstance(rows, (slice, tuple)):
            decoded = self.embedding.vectors[rows]
        else:  # texts repeat tokens, so each distinct one is decoded once
            numbers, places = np.unique(np.asarray(rows), return_inverse=True)
            decoded = self.embedding.vectors[numbers][places.reshape(np.shape(rows))]
        return decoded[..., : self.shape[1]].astype(self.dtype, copy=False)

    def _leading(self, columns: slice) -> "StaticRows":
        kept = range(self.shape[1])[columns] if isinstance(columns, slice) else range(0)
        if kept.start != 0 or kept.step != 1 or not len(kept):
            raise IndexError(f"got columns {columns}; wanted leading ones, [:, :n]")
        return StaticRows(self.embedding, self.dtype, len(kept))

    def astype(self, dtype: np.dtype | type | str, copy: bool = True) -> "StaticRows":
        """Returns the same rows, decoded to another type; nothing is copied."""
        return StaticRows(self.embedding, dtype, self.shape[1])

    def __array__(
        self, dtype: np.dtype | type | None = None, copy: bool | None = None
    ) -> np.ndarray:
        """Decodes all rows, ``(N, D)``.

        Raises:
            ValueError: ``copy`` is False.
        """
        if copy is False:
            raise ValueError("decoding creates a new array; wanted copy=None or copy=True")
        rows = self.embedding.vectors[:][:, : self.shape[1]]
        return rows.astype(self.dtype if dtype is None else dtype, copy=False)

    def __reduce__(self) -> tuple:
        """Pickles the compressed bytes."""
        return _of_bytes, (to_bytes(self.embedding), self.dtype.name, self.shape[1])

    def __repr__(self) -> str:
        return f"<StaticRows of shape {self.shape}, {self.dtype}, decoded on demand>"


def _of_bytes(data: np.ndarray, dtype: str, dim: int) -> StaticRows:
    return StaticRows(of_bytes(data), dtype, dim)
