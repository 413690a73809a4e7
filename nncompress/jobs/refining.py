"""The job of fitting a model's codebook to all rows of a table, with their codes by the model.

Sums over blocks are added up in pairs: they come to the same bits in one process and in many.
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

# Blocks whose sums are added up before they are kept: a power of 2.
_GROUP = 256
_SAMPLE_ROWS = 8_192  # that tell whether a codebook is better
# Adds up the sums of blocks that follow each other by a model.
Summing = Callable[[Model, Sequence[Block]], PairwiseSum[BlockSums]]


@dataclass(frozen=True)
class RefiningSettings:
    """How a codebook is fitted.

    Attributes:
        rounds: How often rows are encoded and the codebook is fitted to them, at most; a round
            that does not help is the last.
        effort: How hard to look for codes, one of ``refinement.encoding.EFFORTS``.

    Raises:
        InputError: A setting is out of its range.
    """

    rounds: int = 1
    effort: str = "quick"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"{self.rounds} rounds; wanted at least 1 (--rounds)")
        if self.effort not in EFFORTS:
            raise InputError(f"no effort {self.effort!r}; wanted one of {', '.join(EFFORTS)}")


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
        model: The model; it has no residual stage, which would be one of what the old codebook
            leaves.
        source: The table, ``(N, D)``.
        settings: How the codebook is fitted.
        machine: The machine to compute on; None: the CPU, with all usable cores.
        work: Where sums are kept, so that a job that is ended goes on; None: nowhere.
        summing: Adds up blocks elsewhere; None: here.

    Returns:
        The model with the new codebook, in the type of the old one; or as it is, which a warning
        says, where rows do not come nearer by another.

    Raises:
        InputError: The model has a residual stage or no codebook, or the table does not fit it.
    """
    if model.codebook is None or model.residual is not None:
        raise InputError(
            "the model has a residual stage, and that is one of what its codebook leaves; wanted "
            "a model of additive codes alone (-M, -K without --residual-bits)"
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
            if loss >= least:  # the codes that are found by it are no better
                break
            model, least = fitted, loss
            better = number + 1
    if not better:
        warnings.warn(
            "codes that are found by a codebook fitted to all rows are no better than those found "
            "by the model's own, which stays",
            stacklevel=2,
        )
        return model
    error = BlockEncoder(model, EFFORTS["default"], machine).encode(sample, 0).sums.error
    return replace(model, encoding={**model.encoding, "error": error})


def _here(source: RowSource, effort: str, machine: Machine) -> Summing:
    """Returns what adds up blocks in this process, reading the next while one is encoded."""
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
    """Returns the loss of some rows, encoded by a model."""
    sums = BlockEncoder(model, EFFORTS[effort], machine).encode(rows, 0).sums
    return sums.loss / sums.num_rows


def _fitted(model: Model, sums: BlockSums, effort: str, machine: Machine) -> Model:
    """Returns a model with the codebook that is best for sums of its rows' codes."""
    codebook, loss = BlockEncoder(model, EFFORTS[effort], machine).fitted(sums)
    stored = model.codebook
    if isinstance(stored, QuantizedMatrix):
        fitted: np.ndarray | QuantizedMatrix = QuantizedMatrix.of(codebook, stored.bits)
    else:
        with np.errstate(over="ignore"):
            fitted = codebook.astype(stored.dtype)
        if not np.isfinite(fitted).all():  # too large for the type that it had
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
