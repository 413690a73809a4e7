"""A PyTorch module to use instead of ``torch.nn.Embedding``; its rows stay compressed."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from nncompress.missing import brought_by

with brought_by("torch"):
    import torch
    from torch import nn
    from torch.nn import functional

from nncompress.embedding.bridges.torch_rows import (
    TableRows,
    coordinates_of,
    logits_of,
    rows_of,
    units_of,
)
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.nnc_bytes import of_bytes, to_bytes
from nncompress.embedding.residual_table import SingleTable
from nncompress.errors import InputError

# Parts that can be trained: the codewords, and the axes and the mean of a residual stage.
TRAINED = ("codebook", "axes", "mean")
# A factor for rows: a number, a one-element tensor, which is cast to their dtype first, or None.
Scale: TypeAlias = float | torch.Tensor | None


class TableEmbedding(nn.Module):
    """Looks up rows of a compressed table, as ``torch.nn.Embedding`` looks up those of a matrix.

    Its state dict holds ``nnc``, the bytes of the table's file; ``added``, uncompressed rows that
    follow the compressed ones; and the trained parts. A module of the same sizes can load it.
    Recently used rows are kept decoded, at most a quarter of all rows (or 8,192).

    Args:
        num_bytes: Size of the table's file in bytes.
        num_embeddings: N, the rows of the table, not counting added ones.
        embedding_dim: D.
        padding_idx: The row without a gradient; None for none.
        num_added: The number of uncompressed rows.
        trained: The shapes of the trained parts, by their names in ``TRAINED``.
        dtype: The dtype of outputs; PyTorch's default dtype by default.
        device: The device; PyTorch's default device by default.

    Attributes:
        nnc: Buffer, uint8 ``(num_bytes,)``.
        added: Parameter ``(num_added, D)``, or None.
        codebook: Parameter, the codewords being trained ``(M * 2**bits, D)``, or None.
        axes: Parameter, the axes of the residual stage ``(T, D)``, or None.
        mean: Parameter, the mean of the residual stage ``(D,)``, or None.
        decoded: Non-persistent buffer, all rows ``(N, D)``, or None; see ``keep_decoded``.
        padding_idx: As given.
        embedding_dim: D.
        embed_scale: A factor for rows that are looked up, as in some models; it does not apply to
            ``weight`` and logits.
    """

    nnc: torch.Tensor
    added: nn.Parameter | None
    codebook: nn.Parameter | None
    axes: nn.Parameter | None
    mean: nn.Parameter | None
    decoded: torch.Tensor | None
    _place: torch.Tensor

    def __init__(
        self,
        num_bytes: int,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        num_added: int = 0,
        trained: Mapping[str, tuple[int, ...]] | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.num_rows, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        self.embed_scale: Scale = None
        kind: dict = {"dtype": dtype, "device": device}
        self.register_buffer("nnc", torch.zeros(num_bytes, dtype=torch.uint8, device=device))
        self.register_buffer("decoded", None, persistent=False)
        # Carries the dtype and the device of outputs.
        self.register_buffer("_place", torch.zeros(0, **kind), persistent=False)
        shapes = dict(trained or {})
        for name in TRAINED:
            own = nn.Parameter(torch.zeros(shapes[name], **kind)) if name in shapes else None
            self.register_parameter(name, own)
        rows = nn.Parameter(torch.zeros(num_added, embedding_dim, **kind)) if num_added else None
        self.register_parameter("added", rows)
        self._rows: TableRows | None = None  # None until a state is loaded

    @classmethod
    def of(
        cls,
        embedding: CompressedEmbedding,
        *,
        trainable: bool = False,
        padding_idx: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> "TableEmbedding":
        """Makes a module of a compressed table.

        Args:
            embedding: The table.
            trainable: Whether to train the codebook and the axes; codes never are.
            padding_idx: The row without a gradient.
            dtype: The dtype of outputs.
            device: The device.
        """
        data = torch.from_numpy(to_bytes(embedding))
        table = embedding.table
        place: dict = {"dtype": dtype, "device": device}
        module = cls(len(data), table.num_rows, table.dim, padding_idx, **place)
        module.nnc.copy_(data)
        module.open()
        if trainable:
            module.train_codebook()
        return module

    def open(self) -> None:
        """Opens the table in ``nnc`` after it has been loaded or moved.

        Raises:
            InputError: The table has other sizes than the module.
            FormatError: The bytes are not a table, or have been altered.
        """
        table = self._embedding().table
        seen = table.num_rows, table.dim
        if seen != (self.num_rows, self.embedding_dim):
            raise InputError(
                f"the state's rows belong to a table of shape {seen}; the module has shape "
                f"{(self.num_rows, self.embedding_dim)}"
            )
        assert isinstance(table, SingleTable)
        if self.is_trained:
            parts = {name: getattr(self, name) for name in TRAINED}
            shapes = {name: tuple(own.shape) for name, own in parts.items() if own is not None}
            wanted = {name: np.shape(each) for name, each in _trained_parts(table).items()}
            if shapes != wanted:
                raise InputError(
                    f"the module has trained parts of shapes {shapes}; its table wants {wanted}"
                )
        self._rows = TableRows(table)

    @property
    def num_embeddings(self) -> int:
        """The number of rows, including added ones."""
        return self.num_rows + (0 if self.added is None else len(self.added))

    @property
    def table(self) -> SingleTable:
        """The compressed rows.

        Raises:
            InputError: No state has been loaded.
        """
        return self._opened.table

    @property
    def _opened(self) -> TableRows:
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            # The program would hold the table's number, which means another table elsewhere.
            raise InputError(
                "an exported or traced program cannot hold the table; call keep_decoded() first, "
                "or export the folder decoded, with: nncompress export FOLDER OUT --to float32"
            )
        if self._rows is None:
            if self.nnc.is_meta or not len(self.nnc):
                raise InputError(
                    "the module has no table yet; load a state, or make it with to_torch"
                )
            self.open()
        assert self._rows is not None
        return self._rows

    @property
    def is_trained(self) -> bool:
        """Whether the codebook or the axes are parameters."""
        return any(getattr(self, name) is not None for name in TRAINED)

    @property
    def weight(self) -> torch.Tensor:
        """The decoded table, ``(N, D)``, decoded anew on each access.

        It is not a parameter. ``TiedHead`` is an output layer that shares the table without
        decoding all of it.
        """
        if self.nnc.is_meta:  # a model without data
            return self._place.new_empty(self.num_embeddings, self.embedding_dim)
        return self.look_up(torch.arange(self.num_embeddings, device=self._place.device))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns rows, as ``look_up`` does, multiplied by ``embed_scale``."""
        return scaled(self.look_up(input), self.embed_scale)

    def look_up(self, input: torch.Tensor) -> torch.Tensor:
        """Returns rows in the module's dtype, of the shape of ``input`` followed by D.

        Args:
            input: Row numbers, int32 or int64 of any shape.

        Raises:
            IndexError: A row number is out of range.
        """
        ids = input.reshape(-1)
        if self.added is None:
            rows = self._base(ids)
        else:
            is_added = ids >= self.num_rows
            own = functional.embedding((ids - self.num_rows).clamp(min=0), self.added)
            rows = torch.where(is_added[:, None], own, self._base(ids.masked_fill(is_added, 0)))
        if self.padding_idx is not None and rows.requires_grad:
            rows = torch.where((ids == self.padding_idx)[:, None], rows.detach(), rows)
        return rows.reshape(*input.shape, self.embedding_dim)

    def _base(self, ids: torch.Tensor) -> torch.Tensor:
        """Returns rows of the table, ``(n, D)``."""
        if self.decoded is not None:
            return functional.embedding(ids, self.decoded)
        opened = self._opened
        if not self.is_trained:
            return rows_of(ids, self._place, opened.number, self.embedding_dim)
        parts = []
        if self.codebook is not None:
            additive = self.table if isinstance(self.table, CodeTable) else self.table.additive
            assert additive is not None
            units = units_of(ids, opened.number, additive.num_codebooks)
            parts.append(functional.embedding_bag(units, self.codebook, mode="sum"))
        if self.axes is not None:
            place, number = self._place, opened.number
            coordinates = coordinates_of(ids, place, number, len(self.axes))
            parts.append(coordinates @ self.axes + self.mean)
        return sum(parts[1:], parts[0])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns inner products of vectors with all rows: an output layer's logits.

        Without ``decoded`` they are computed from the codes, and the table is never held decoded.

        Args:
            hidden: ``(..., D)``.

        Returns:
            ``(..., N)``, of the dtype of ``hidden``.
        """
        if self.decoded is not None:
            logits = functional.linear(hidden, self.decoded)
        elif self.is_trained:
            logits = functional.linear(
                hidden, self._base(torch.arange(self.num_rows, device=hidden.device))
            )
        else:
            flat = hidden.reshape(-1, self.embedding_dim).float()
            logits = logits_of(flat, self._opened.number, self.num_rows)
            logits = logits.reshape(*hidden.shape[:-1], self.num_rows).to(hidden.dtype)
        if self.added is None:
            return logits
        return torch.cat([logits, functional.linear(hidden, self.added)], dim=-1)

    def train_codebook(self, trainable: bool = True) -> None:
        """Makes the codebook and the axes parameters to train, or freezes them as trained.

        The parameters replace what ``nnc`` holds. Codes and levels stay as they are.

        Args:
            trainable: Whether the parameters require a gradient.
        """
        self.keep_decoded(False)
        if not self.is_trained:
            for name, values in _trained_parts(self.table).items():
                own = torch.from_numpy(np.array(values)).to(self._place)
                self.register_parameter(name, nn.Parameter(own))
        for name in TRAINED:
            if (own := getattr(self, name)) is not None:
                own.requires_grad_(trainable)

    def keep_decoded(self, keep: bool = True) -> None:
        """Keeps all rows decoded in memory, as the original did, or stops doing so.

        Lookups and output layers are then as fast as without compression, and take as much
        memory. The saved state stays compressed.

        Args:
            keep: Whether to keep them.

        Raises:
            InputError: ``train_codebook`` has made the codebook a parameter, so rows may change.
        """
        if keep and self.is_trained:
            raise InputError(
                "the codebook is a parameter since train_codebook, so decoded rows cannot be kept"
            )
        self.decoded = self._base(self._all_rows()).detach().clone() if keep else None

    def _all_rows(self) -> torch.Tensor:
        return torch.arange(self.num_rows, device=self._place.device)

    def resize(self, num_embeddings: int) -> None:
        """Lengthens or shortens the table; new rows are parameters, initialized to the mean row.

        Args:
            num_embeddings: The number of rows. Compressed rows beyond it are removed from the
                table itself.

        Raises:
            InputError: The number is below 1.
            ImportError: A block of bytes holds both kept and removed rows, and Numba is not
                installed.
        """
        if num_embeddings < 1:
            raise InputError(f"{num_embeddings} rows; wanted at least 1")
        more = num_embeddings - self.num_embeddings
        if more > 0:
            with torch.no_grad():
                new = self.weight.mean(dim=0, dtype=torch.float32).to(self._place)
                new = new.expand(more, -1)
                rows = new.clone() if self.added is None else torch.cat([self.added, new])
            self.added = nn.Parameter(rows)
        elif num_embeddings > self.num_rows and self.added is not None:
            self.added = nn.Parameter(self.added.detach()[:more].clone())
        elif more < 0:
            self.added = None
            if num_embeddings < self.num_rows:
                self._take(self._embedding().vectors_for_all(range(num_embeddings)))
        if self.padding_idx is not None and self.padding_idx >= num_embeddings:
            self.padding_idx = None

    def encode_added(self) -> None:
        """Encodes the added rows with the table's codebook and axes, like the others.

        Raises:
            InputError: ``train_codebook`` has made the codebook a parameter.
            ImportError: Numba or threadpoolctl is not installed.
        """
        if self.is_trained:
            raise InputError(
                "the codebook is a parameter since train_codebook; encode added rows before it"
            )
        if self.added is None:
            return
        rows = self.added.detach().float().cpu().numpy()
        longer = self._embedding().add(None, rows)
        self.added = None
        self._take(longer)

    def _embedding(self) -> CompressedEmbedding:
        return of_bytes(self.nnc.cpu().numpy())

    def _take(self, embedding: CompressedEmbedding) -> None:
        """Replaces the table."""
        self.nnc = torch.from_numpy(to_bytes(embedding)).to(self.nnc.device)
        self.num_rows = embedding.table.num_rows
        self._reopen()

    def _reopen(self) -> None:
        """Opens a new table, and keeps its rows decoded if the old one's were."""
        kept = self.decoded is not None
        self.decoded = None
        self.open()
        if kept:
            self.keep_decoded()

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:  # type: ignore[no-untyped-def]
        # Files have an empty one for readers unaware of compressed tables; see nncompress.hf.
        if prefix + "weight" in state_dict and not state_dict[prefix + "weight"].numel():
            del state_dict[prefix + "weight"]
        super()._load_from_state_dict(state_dict, prefix, *rest)
        if prefix + "nnc" in state_dict:
            self._reopen()

    def __getstate__(self) -> dict:
        state = dict(self.__dict__)
        state["_rows"] = None  # opened again on first use
        return state

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if self.nnc.device.type != "meta" and self.nnc.any():
            self.open()

    def extra_repr(self) -> str:
        """Returns the sizes."""
        facts = [f"{self.num_embeddings:,}, {self.embedding_dim:,}", f"{len(self.nnc):,} bytes"]
        facts += [f"padding_idx={self.padding_idx}"] * (self.padding_idx is not None)
        facts += [f"{len(self.added):,} added"] if self.added is not None else []
        return ", ".join(facts)


def scaled(rows: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Returns rows multiplied by a scale."""
    if scale is None:
        return rows
    return rows * (scale.to(rows.dtype) if isinstance(scale, torch.Tensor) else scale)


def _trained_parts(table: SingleTable) -> dict[str, np.ndarray]:
    """Returns the parts of a table that can be trained, by name."""
    if isinstance(table, CodeTable):
        return {"codebook": table.codewords}
    parts = {"axes": table.residual.axes, "mean": table.residual.mean}
    if table.additive is not None:
        parts["codebook"] = table.additive.codewords
    return parts
