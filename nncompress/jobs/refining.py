"""The job of fitting a model's codebook to all rows of a table, given their codes by the model.

Sums over blocks are added pairwise, so the result has the same bits in one process and in many.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.joining import aligned_rows
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import digest_of_model
from nncompress.embedding.quantized_matrix import QuantizedMatrix
from nncompress.errors import InputError
from nncompress.formats.work import WorkDirectory
from nncompress.jobs.block_encoder import BlockEncoder
from nncompress.jobs.blocks import Block, shards_of_rows
from nncompress.jobs.learning import check_rows_fit
from nncompress.jobs.pairwise import PairwiseSum
from nncompress.machine import Machine
from nncompress.progress import progress_bar
from nncompress.refinement.encoding import EFFORTS, BlockSums
from nncompress.sources.matrix import spaced_rows
from nncompress.sources.read_ahead import read_ahead
from nncompress.sources.row_source import RowSource
from nncompress.version import __version__

# Blocks whose sums are added up before they are saved: a power of 2.
_GROUP = 256
_SAMPLE_ROWS = 8_192  # for deciding whether a codebook is better
# Adds up the sums of consecutive blocks, encoded by a model.
Summing = Callable[[Model, Sequence[Block]], PairwiseSum[BlockSums]]


@dataclass(frozen=True)
class RefiningSettings:
    """Settings for fitting a codebook.

    Attributes:
        rounds: The largest number of times that rows are encoded and the codebook is fitted to
            them; the first round that does not help is the last.
        effort: The effort of the search for codes, one of ``refinement.encoding.EFFORTS``.

    Raises:
        InputError: A setting is out of its range.
    """

    rounds: int = 1
    effort: str = "quick"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"{self.rounds} rounds; wanted at least 1 (--rounds)")
        if self.effort not in EFFORTS:
            raise InputError(f"unknown effort {self.effort!r}; wanted one of {', '.join(EFFORTS)}")


def refine_model(
    model: Model,
    source: RowSource,
    settings: RefiningSettings = RefiningSettings(),
    machine: Machine | None = None,
    *,
    work: WorkDirectory | None = None,
    summing: Summing | None = None,
) -> Model:
    """Fits a model's codebook to all rows of a table.

    Args:
        model: The model. It must not have a residual stage, since that was fitted to the
            remainder of the old codebook.
        source: The table, ``(N, D)``.
        settings: The settings for fitting the codebook.
        machine: The machine to compute on; None for the CPU with all usable cores.
        work: The directory in which sums are kept, so that an interrupted job can be continued;
            None to keep nothing.
        summing: A function that adds up blocks elsewhere; None to do it in this process.

    Returns:
        The model with the new codebook, in the type of the old one; or, with a warning, the
        unchanged model if no new codebook reduces the loss.

    Raises:
        InputError: The model has a residual stage or no codebook, or the table does not fit it.
    """
    if model.codebook is None or model.residual is not None:
        raise InputError(
            "the model has a residual stage, which was fitted to the remainder of its codebook; "
            "wanted a model with additive codes only (-M, -K without --residual-bits)"
        )
    check_rows_fit(source, model)
    machine = machine or Machine()
    if work is not None:
        work.require({
            "version": __version__, "model": digest_of_model(model), "effort": settings.effort,
            "rounds": settings.rounds, "table": source.identity(),
            "device": "CPU" if machine.gpu < 0 else "GPU",
        })  # fmt: skip
    (plan,) = shards_of_rows(0, source.num_rows, source.num_rows, model.dim, aligned_rows(model))
    blocks = plan.blocks
    sample = source.take(spaced_rows(_SAMPLE_ROWS, source.num_rows))
    least, better = _loss_of(model, sample, settings.effort, machine), 0
    add_up = summing or _here(source, settings.effort, machine)
    with progress_bar(settings.rounds * source.num_rows, "Refining", delay=0, leave=True) as bar:
        for number in range(settings.rounds):
            name = f"round-{number:03d}"
            total = _kept_sums(work, name)
            bar.update(sum(block.num_rows for block in blocks[: total.count]))
            while total.count < len(blocks):
                group = blocks[total.count : total.count + _GROUP]
                for level, sums in add_up(model, group).parts:
                    total.add(sums, level)
                bar.update(sum(block.num_rows for block in group))
                if work is not None and (work.is_due() or total.count == len(blocks)):
                    _keep_sums(work, name, total)
            fitted = _fitted(model, total.total(), settings.effort, machine)
            loss = _loss_of(fitted, sample, settings.effort, machine)
            bar.set_postfix(loss=f"{loss:.5g}")
            if loss >= least:  # the codes found with it are no better
                break
            model, least = fitted, loss
            better = number + 1
    if not better:
        warnings.warn(
            "codes found with a codebook fitted to all rows are no better than those found with "
            "the model's own, so the model is unchanged",
            stacklevel=2,
        )
        return model
    error = BlockEncoder(model, EFFORTS["default"], machine).encode(sample, 0).sums.error
    return replace(model, encoding={**model.encoding, "error": error})


def _here(source: RowSource, effort: str, machine: Machine) -> Summing:
    """Returns a function that adds up blocks in this process, and reads ahead meanwhile."""
    encoders: dict[str, BlockEncoder] = {}

    def add_up(model: Model, blocks: Sequence[Block]) -> PairwiseSum[BlockSums]:
        digest = digest_of_model(model)
        if digest not in encoders:
            encoders.clear()
            encoders[digest] = BlockEncoder(model, EFFORTS[effort], machine)
        total: PairwiseSum[BlockSums] = PairwiseSum()
        ranges = [(block.first, block.last) for block in blocks]
        for (first, _), rows in zip(ranges, read_ahead(source, ranges), strict=True):
            total.add(encoders[digest].sums_of(rows, first))
        return total

    return add_up


def _loss_of(model: Model, rows: np.ndarray, effort: str, machine: Machine) -> float:
    """Returns the mean loss of rows encoded by a model."""
    sums = BlockEncoder(model, EFFORTS[effort], machine).encode(rows, 0).sums
    return sums.loss / sums.num_rows


def _fitted(model: Model, sums: BlockSums, effort: str, machine: Machine) -> Model:
    """Returns a model with the best codebook for the sums of its rows."""
    codebook, loss = BlockEncoder(model, EFFORTS[effort], machine).fitted(sums)
    stored = model.codebook
    if isinstance(stored, QuantizedMatrix):
        fitted: np.ndarray | QuantizedMatrix = QuantizedMatrix.of(codebook, stored.bits)
    else:
        with np.errstate(over="ignore"):
            fitted = codebook.astype(stored.dtype)
        if not np.isfinite(fitted).all():  # too large for its old type
            fitted = codebook
    encoding = {**model.encoding, "loss": loss, "refined_rows": int(sums.weight)}
    return replace(model, codebook=fitted, encoding=encoding)


def _kept_sums(work: WorkDirectory | None, name: str) -> PairwiseSum[BlockSums]:
    """Returns the sums of a round so far."""
    total: PairwiseSum[BlockSums] = PairwiseSum()
    state = None if work is None else work.load(name)
    if state is not None:
        for place, (level, squares, weight) in enumerate(state.facts["parts"]):
            counts, sums, used = (
                state.arrays[f"{array}{place}"] for array in ("counts", "sums", "used")
            )
            total.add(BlockSums(counts, sums, used, squares, weight), level)
    return total


def _keep_sums(work: WorkDirectory, name: str, total: PairwiseSum[BlockSums]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for place, (_, part) in enumerate(total.parts):
        own = {"counts": part.counts, "sums": part.sums, "used": part.used}
        arrays |= {f"{array}{place}": values for array, values in own.items()}
    parts = [(level, part.squares, part.weight) for level, part in total.parts]
    work.save(name, arrays, {"parts": parts})
