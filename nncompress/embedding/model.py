"""What the rows of a table have in common: what they are decoded by, and what encodes more."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.codes import code_dtype
from nncompress.embedding.packing import Packing, bits_for
from nncompress.embedding.provenance import ENCODING
from nncompress.embedding.quantized_matrix import QuantizedMatrix
from nncompress.embedding.residual import Residual, Stream
from nncompress.embedding.residual_table import ResidualTable, SingleTable
from nncompress.embedding.shared import shared_property


@dataclass(frozen=True)
class Model:
    """A codebook, a residual stage, or both, and how rows are encoded by them.

    Attributes:
        codebook: ``(M*K, D)``, as it is stored; None without additive codes.
        num_codebooks: M; 0 without additive codes.
        residual: The residual stage, without rows; None without one.
        centre: What encoding centres rows by, float32 ``(D,)``.
        scale: What it divides them by then.
        encoding: Further numbers that encoding takes, and what it came to on the sample that the
            model was learnt on: JSON values by name.
        provenance: Facts of how the model was made: JSON values by name.
    """

    codebook: np.ndarray | QuantizedMatrix | None
    num_codebooks: int
    residual: Residual | None
    centre: np.ndarray
    scale: float
    encoding: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    _made: dict[str, object] = field(init=False, repr=False, compare=False, default_factory=dict)

    @shared_property
    def _first(self) -> CodeTable:
        """A table without rows, whose codebook those of all rows share."""
        assert self.codebook is not None
        assert self.packing is not None
        nothing = np.empty((0, self.packing.row_bytes), np.uint8)
        return CodeTable(nothing, self.codebook, self.num_codebooks)

    @classmethod
    def of_table(cls, table: SingleTable, provenance: Mapping[str, object]) -> "Model":
        """Returns the model that a table's rows are decoded by.

        What encoding centres and scales rows by is told from the codebook.

        Args:
            table: The table.
            provenance: Facts of how it was made, among which encoding looks for its loss.
        """
        residual = None
        additive = table.additive if isinstance(table, ResidualTable) else table
        if isinstance(table, ResidualTable):
            stage = table.residual
            none = None if stage.centres is None else np.empty((0, stage.centres.bits), np.uint8)
            residual = stage.with_rows(Stream.empty(stage.stream.block_rows), none)
        encoding = _encoding_of(table, provenance)
        if additive is None:
            assert residual is not None
            return cls(None, 0, residual, residual.mean, 1.0, encoding, provenance)
        groups = additive.codebook.astype(np.float64).reshape(
            additive.num_codebooks, -1, additive.dim
        )
        centre = groups.mean(axis=1).sum(axis=0).astype(np.float32)
        scale = float(np.sqrt(groups.var(axis=1).sum(axis=0).mean())) or 1.0
        return cls(
            additive.stored_codebook, additive.num_codebooks, residual, centre, scale, encoding,
            provenance,
        )  # fmt: skip

    @property
    def dim(self) -> int:
        """D."""
        return len(self.centre)

    @shared_property
    def plain_codebook(self) -> np.ndarray:
        """The codebook as readers see it, float32 ``(M*K, D)``, where there are additive codes."""
        return np.ascontiguousarray(self._first.codebook, np.float32)

    @property
    def num_codewords(self) -> int:
        """K; 0 without additive codes."""
        return 0 if self.codebook is None else self.codebook.shape[0] // self.num_codebooks

    @property
    def packing(self) -> Packing | None:
        """The places of codes among bits; None without additive codes."""
        if self.codebook is None:
            return None
        return Packing(self.num_codebooks, bits_for(self.num_codewords))

    @property
    def code_dtype(self) -> np.dtype:
        """The type of codes before they are packed: uint8 or uint16."""
        return np.dtype(code_dtype(self.num_codewords))

    @property
    def unit_rows(self) -> bool:
        """Whether rows are divided by their lengths before they are encoded."""
        return self.encoding.get("objective") == "cosine"

    def table(self, packed: np.ndarray | None, residual: Residual | None) -> SingleTable:
        """Returns a table of rows that are encoded by this model.

        Args:
            packed: Their packed codes, uint8 ``(n, row_bytes)``; None without additive codes.
            residual: Their residual stage; None without one.
        """
        additive = None
        if packed is not None and self.codebook is not None:
            additive = self._first.with_rows(packed)
        if residual is None:
            assert additive is not None
            return additive
        return ResidualTable(residual, additive)


def _encoding_of(table: SingleTable, provenance: Mapping[str, object]) -> dict[str, object]:
    """Returns what a table's provenance tells of encoding, if it does."""
    told = provenance.get(ENCODING)
    if isinstance(told, Mapping):
        return dict(told)
    objective = provenance.get("objective", "distance")
    encoding = {"objective": objective, "adaptive": bool(provenance.get("adaptive"))}
    if isinstance(table, CodeTable) and "loss" in provenance:
        encoding["loss"] = provenance["loss"]
    return encoding
