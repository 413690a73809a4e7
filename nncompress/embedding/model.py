"""The model that a table's rows share: for decoding them, and for encoding more."""

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
    """A codebook, a residual stage, or both, with the settings for encoding rows.

    Attributes:
        codebook: ``(M*K, D)``, as stored; None without additive codes.
        num_codebooks: M; 0 without additive codes.
        residual: The residual stage, without rows; None without one.
        centre: The vector that encoding subtracts from rows, float32 ``(D,)``.
        scale: The number that encoding then divides them by.
        encoding: Further settings of encoding, and its results on the sample that the model was
            learnt on: JSON values by name.
        provenance: Facts about how the model was made: JSON values by name.
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
        """A table without rows, whose codebook all tables of this model share."""
        assert self.codebook is not None
        assert self.packing is not None
        nothing = np.empty((0, self.packing.row_bytes), np.uint8)
        return CodeTable(nothing, self.codebook, self.num_codebooks)

    @classmethod
    def of_table(cls, table: SingleTable, provenance: Mapping[str, object]) -> "Model":
        """Returns the model of a table's rows.

        Centre and scale are derived from the codebook.

        Args:
            table: The table.
            provenance: Facts about how it was made, including its loss, if known.
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
        """The codebook after decoding, float32 ``(M*K, D)``, for a model with additive codes."""
        return np.ascontiguousarray(self._first.codebook, np.float32)

    @property
    def num_codewords(self) -> int:
        """K; 0 without additive codes."""
        return 0 if self.codebook is None else self.codebook.shape[0] // self.num_codebooks

    @property
    def packing(self) -> Packing | None:
        """The layout of the codes' bits; None without additive codes."""
        if self.codebook is None:
            return None
        return Packing(self.num_codebooks, bits_for(self.num_codewords))

    @property
    def code_dtype(self) -> np.dtype:
        """The dtype of unpacked codes: uint8 or uint16."""
        return np.dtype(code_dtype(self.num_codewords))

    @property
    def unit_rows(self) -> bool:
        """Whether rows are divided by their lengths before they are encoded."""
        return self.encoding.get("objective") == "cosine"

    def table(self, packed: np.ndarray | None, residual: Residual | None) -> SingleTable:
        """Returns a table of rows encoded with this model.

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
    """Returns the settings of encoding that a table's provenance holds, if any."""
    told = provenance.get(ENCODING)
    if isinstance(told, Mapping):
        return dict(told)
    objective = provenance.get("objective", "distance")
    encoding = {"objective": objective, "adaptive": bool(provenance.get("adaptive"))}
    if isinstance(table, CodeTable) and "loss" in provenance:
        encoding["loss"] = provenance["loss"]
    return encoding
