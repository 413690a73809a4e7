"""Encoding blocks of rows with a model, each block on its own."""

import functools
import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nncompress.embedding.centres import Centres
from nncompress.embedding.codes import reconstruct
from nncompress.embedding.model import Model
from nncompress.embedding.residual import Residual, Stream
from nncompress.embedding.residual_table import SingleTable
from nncompress.errors import InputError
from nncompress.evaluate.distortion import distances
from nncompress.machine import Machine
from nncompress.refinement.blas import one_blas_thread
from nncompress.refinement.encoding import BlockSums, Effort, RowEncoder
from nncompress.sources.normalization import Normalization
from nncompress.trellis.engines import make_engine
from nncompress.trellis.quantizer import Quantizer
from nncompress.trellis.row_weights import weights_of

# Bytes of float32 rows that a trellis codes at a time.
_TILE_BYTES = 8 << 20
# The range of valid numbers in a model.
_LEAST, _MOST = 1e-300, 1e300


@dataclass(frozen=True)
class Sums:
    """Totals over encoded rows.

    Attributes:
        num_rows: The number of rows.
        loss: The sum of half the squared distances between rows and their decoded versions.
        distance: The sum of these distances.
        cosine: The sum of the cosines between them.
        directed: The number of rows that are not zero.
        spread: The sum of half the squared distances from the model's centre.
    """

    num_rows: int
    loss: float
    distance: float
    cosine: float
    directed: int
    spread: float

    def __add__(self, other: "Sums") -> "Sums":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Sums(*(one + another for one, another in pairs))

    @property
    def error(self) -> float:
        """The loss divided by the spread: 0 is perfect, 1 is the centre for every row."""
        return self.loss / self.spread if self.spread else 0.0

    @property
    def facts(self) -> dict[str, float]:
        """The means over rows, by their names in the provenance."""
        return {
            "loss": self.loss / self.num_rows,
            "mean_distance": self.distance / self.num_rows,
            "mean_cosine": self.cosine / self.directed if self.directed else 1.0,
        }


@dataclass(frozen=True)
class EncodedBlock:
    """A block of rows, encoded.

    Attributes:
        arrays: With additive codes, ``codes``, the packed codes, uint8 ``(n, row_bytes)``. With a
            residual stage, ``data``, its bytes, uint8; ``lengths``, the bytes of each of its
            blocks, uint32; and ``clusters``, uint16 ``(n,)``.
        sums: The totals over the rows.
    """

    arrays: dict[str, np.ndarray]
    sums: Sums


class BlockEncoder:
    """Encodes blocks of rows.

    The result for a row depends on the row, its number, the model, the effort and the seed, but
    not on the block that the row is in or on the number of threads.

    Args:
        model: The model.
        effort: The effort of the search for codes; see ``refinement.encoding``.
        machine: The machine to compute on.

    Raises:
        InputError: The model lacks a fact that encoding needs.
    """

    def __init__(self, model: Model, effort: Effort, machine: Machine) -> None:
        self.model = model
        self._machine, self._effort = machine, effort
        self._loss = number_of(model, "loss") if model.codebook is not None else None
        self._step = number_of(model, "step", least=_LEAST)
        self._unit = number_of(model, "weight_unit", least=_LEAST)
        self._seed = int(number_of(model, "seed", most=float(1 << 64)) or 0)
        if model.encoding.get("adaptive") and self._unit is None:
            raise InputError(
                "the model gives rows bits according to weights, but it does not record their "
                "unit, or the weights were supplied; wanted a model with the usual weights "
                "(--adaptive alone)"
            )

    def require_loss(self) -> float:
        """Returns the loss of the additive codes, which the search for new codes needs.

        Raises:
            InputError: The model does not record it.
        """
        if self._loss is None:
            raise InputError(
                "the model does not record the loss of its codes; wanted one made by nncompress "
                "learn or compress"
            )
        return self._loss

    @cached_property
    def _rows(self) -> RowEncoder:
        model = self.model
        return RowEncoder(
            model.plain_codebook, model.num_codebooks,
            Normalization(model.centre, model.scale), self.require_loss(), self._effort,
            self._seed, self._machine,
        )  # fmt: skip

    @cached_property
    def _quantizer(self) -> Quantizer:
        return Quantizer.of_residual(self.model.residual, self._step)

    @one_blas_thread
    def encode(self, rows: np.ndarray, first_row: int) -> EncodedBlock:
        """Encodes a block.

        Args:
            rows: float32 ``(n, D)``; n is a multiple of ``aligned_rows``, except in a shard's
                last block.
            first_row: The number of its first row in the whole table.

        Raises:
            InputError: A row is too large for the model's residual stage.
        """
        codes = None
        if self.model.codebook is not None:
            codes = self._rows.encode(rows, first_row)
        return self.encoded(rows, codes)

    @one_blas_thread
    def encoded(self, rows: np.ndarray, codes: np.ndarray | None) -> EncodedBlock:
        """Encodes a block whose additive codes are known.

        Args:
            rows: float32 ``(n, D)``.
            codes: Their codes, ``(n, M)``; None without additive codes.
        """
        arrays: dict[str, np.ndarray] = {}
        remainder = rows
        if codes is not None:
            arrays["codes"] = self.model.packing.pack(codes)
        if self.model.residual is not None:
            if codes is not None:
                remainder = rows - reconstruct(codes, self.model.plain_codebook)
            arrays |= self._coded(rows, remainder)
        table = self.model.table(arrays.get("codes"), stage_of(self.model, [arrays], len(rows)))
        return EncodedBlock(arrays, self._measured(rows, table))

    def _measured(self, rows: np.ndarray, table: SingleTable) -> Sums:
        """Returns the totals of a block of rows, given its table."""
        step = max(1, _TILE_BYTES // (4 * rows.shape[1]))

        def measured(first: int) -> Sums:
            tile = rows[first : first + step]
            totals = distances(tile, table.decode(slice(first, first + step))).sum(axis=1)
            about = tile - self.model.centre
            spread = 0.5 * float(np.einsum("nd,nd->", about, about, dtype=np.float64))
            return Sums(len(tile), *totals.tolist(), int(tile.any(axis=1).sum()), spread)

        with ThreadPoolExecutor(self._machine.threads) as threads:
            return functools.reduce(operator.add, threads.map(measured, range(0, len(rows), step)))

    def sums_of(self, rows: np.ndarray, first_row: int) -> BlockSums:
        """Encodes a block and returns its contribution to the codebook's least squares.

        Args:
            rows: float32 ``(n, D)``.
            first_row: The number of its first row in the whole table.
        """
        return self._rows.block_sums(rows, self._rows.encode(rows, first_row))

    def fitted(self, sums: BlockSums) -> tuple[np.ndarray, float]:
        """Returns the best codebook for blocks and their codes, and its loss.

        Args:
            sums: The sum of the blocks' contributions.

        Returns:
            float32 ``(M*K, D)``, and half the mean squared distance, both in the rows' units.
        """
        return self._rows.solve(sums)

    def _coded(self, rows: np.ndarray, remainder: np.ndarray) -> dict[str, np.ndarray]:
        """Codes the remainder of the additive codes with the residual stage."""
        engine = make_engine(self._machine)
        quantizer, unit = self._quantizer, self._unit
        group = quantizer.settings.block_rows
        step = max(1, _TILE_BYTES // (4 * rows.shape[1] * group)) * group
        data, lengths, clusters = [], [], []
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            weights = None if unit is None else weights_of(rows[part]) / unit
            coded = quantizer.code(remainder[part], weights, engine)
            written, sizes = quantizer.write(coded, engine)
            data.append(written)
            lengths.append(sizes.astype(np.uint32))
            clusters.append(coded.clusters.astype(np.uint16))
        return {
            "data": np.concatenate(data),
            "lengths": np.concatenate(lengths),
            "clusters": np.concatenate(clusters),
        }


def number_of(model: Model, name: str, *, least: float = 0.0, most: float = _MOST) -> float | None:
    """Returns a number that encoding needs; None if the model does not record it.

    Args:
        model: The model.
        name: The number's name.
        least: The smallest valid value.
        most: The largest valid value.

    Raises:
        InputError: The value is not a number, or is out of range.
    """
    value = model.encoding.get(name)
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and least <= value <= most):
        raise InputError(
            f"the model's {name} is {value!r:.40}; wanted a number from {least:g} to {most:g}: "
            "learn the model again"
        )
    return value


def stage_of(model: Model, blocks: list[dict[str, np.ndarray]], num_rows: int) -> Residual | None:
    """Returns the residual stage of blocks' rows; None if the model has none.

    Args:
        model: The model.
        blocks: The arrays of consecutive blocks.
        num_rows: The number of their rows.
    """
    if model.residual is None:
        return None
    data, lengths, clusters = (
        np.concatenate([block[name] for block in blocks])
        for name in ("data", "lengths", "clusters")
    )
    stream = Stream.of(data, lengths, model.residual.stream.block_rows, num_rows)
    centres = model.residual.centres
    packed = None if centres is None else Centres.pack(clusters, centres.bits)
    return model.residual.with_rows(stream, packed)
