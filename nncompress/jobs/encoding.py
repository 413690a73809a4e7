"""The job of encoding a table's rows with a model, block by block, which can be continued."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.joining import aligned_rows
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import digest_of_model
from nncompress.embedding.provenance import facts_of_others
from nncompress.embedding.table_directory import Shard
from nncompress.errors import InputError
from nncompress.formats.space import check_space
from nncompress.formats.work import WorkDirectory
from nncompress.jobs.block_encoder import BlockEncoder, EncodedBlock, number_of
from nncompress.jobs.blocks import MOST_SHARDS, Block, ShardPlan, shards_of_rows, usual_shard_rows
from nncompress.jobs.drift import warn_of_drift
from nncompress.jobs.learning import check_rows_fit
from nncompress.jobs.output import Output, sums_of_shard
from nncompress.jobs.shard_files import ShardFiles
from nncompress.machine import Machine
from nncompress.progress import progress_bar
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources.read_ahead import read_ahead
from nncompress.sources.row_source import RowSource
from nncompress.sources.tables import name_of
from nncompress.version import __version__

# Takes the blocks to encode, and yields them, encoded, in any order.
Runner = Callable[[Iterable[Block]], Iterator[tuple[Block, EncodedBlock]]]


@dataclass(frozen=True)
class EncodingSettings:
    """The choice of rows to encode, and the settings for encoding them.

    Attributes:
        effort: The effort of the search for codes, one of ``refinement.encoding.EFFORTS``.
        rows: The first row and the one after the last; None for all rows.
        shard_rows: The number of rows in a file; None for as many as fit in memory.
        append: Whether to add them to an existing table.

    Raises:
        InputError: A setting is out of its range.
    """

    effort: str = "default"
    rows: tuple[int, int] | None = None
    shard_rows: int | None = None
    append: bool = False

    def __post_init__(self) -> None:
        if self.effort not in EFFORTS:
            raise InputError(f"unknown effort {self.effort!r}; wanted one of {', '.join(EFFORTS)}")
        if self.shard_rows is not None and self.shard_rows < 1:
            raise InputError(f"a shard has {self.shard_rows} rows; wanted at least 1")


def encode_rows(
    model: Model,
    source: RowSource,
    output: str | os.PathLike,
    settings: EncodingSettings = EncodingSettings(),
    machine: Machine | None = None,
    *,
    work: str | os.PathLike | None = None,
    runner: Runner | None = None,
) -> CompressedEmbedding:
    """Encodes rows of a table into a directory of shards.

    Memory holds only a few blocks of rows and one shard of encoded rows, however many rows there
    are. Finished work is kept in a work directory: repeating the call continues an interrupted job
    and produces the same bytes.

    Args:
        model: The model to encode rows with.
        source: The table, ``(N, D)``.
        output: The directory to write, or to add to.
        settings: The choice of rows, and the settings for encoding them.
        machine: The machine to compute on; None for the CPU with all usable cores.
        work: The work directory; None for ``OUTPUT.work``, beside the output.
        runner: A function that encodes blocks elsewhere; None to encode them in this process.

    Returns:
        The table, opened.

    Raises:
        InputError: An argument cannot be used. Finished blocks are kept.
        OutputError: Something cannot be written.
    """
    check_rows_fit(source, model)
    if model.codebook is None and settings.effort != "default":
        raise InputError(
            f"the effort is {settings.effort}, but the model has no additive codes to search for; "
            "leave it out (--effort)"
        )
    machine = machine or Machine()
    digest = digest_of_model(model)
    out = Output(output, model, digest, append=settings.append)
    first, last = _range_of(settings.rows, source)
    aligned = aligned_rows(model)
    shard_rows = settings.shard_rows or usual_shard_rows(
        last - first, _row_bytes_of(model), aligned
    )
    if shard_rows % aligned or last - first > MOST_SHARDS * shard_rows:
        raise InputError(
            f"a shard has {shard_rows:,} rows; wanted a multiple of {aligned}, and at most "
            f"{MOST_SHARDS:,} shards for {last - first:,} rows (--shard-rows)"
        )
    plans = shards_of_rows(first, last, shard_rows, model.dim, aligned)
    place = _work_of(work, out.path)
    with WorkDirectory.open(place) as kept:
        kept.require({
            "version": __version__, "model": digest, "effort": settings.effort,
            "rows": [first, last], "shard rows": shard_rows, "append": settings.append,
            "output": str(out.path.resolve()), "table": source.identity(),
            "device": "CPU" if machine.gpu < 0 else "GPU",
        })  # fmt: skip
        with out.reserved():
            if not out.is_complete(kept):
                _encode(model, digest, source, out, settings, machine, plans, kept, runner)
        kept.finish()
    if work is None:  # it may be left empty by a process that died right after creating it
        with suppress(OSError):
            place.rmdir()
    return CompressedEmbedding.load(out.path)


def _encode(
    model: Model,
    digest: str,
    source: RowSource,
    out: Output,
    settings: EncodingSettings,
    machine: Machine,
    plans: Sequence[ShardPlan],
    work: WorkDirectory,
    runner: Runner | None,
) -> None:
    """Encodes the rows that are missing, and writes the output."""
    out.check()
    if source.words is not None:
        len(source.words)  # reports a bad file of words before work begins
    encoder = BlockEncoder(model, EFFORTS[settings.effort], machine)
    if model.codebook is not None:
        encoder.require_loss()
    files = ShardFiles(work, model, digest, source.words, out.vocabularies())
    # Finished shards need no more room; a shard is written while its blocks still exist.
    waiting = [plan.num_rows for plan in plans if not files.path(plan).is_file()]
    row_bytes, num_rows = _row_bytes_of(model), sum(plan.num_rows for plan in plans)
    needs = {work.path: int(row_bytes * (sum(waiting) + max(waiting, default=0)))}
    if out.needs_copies_from(work):
        needs[out.path] = int(row_bytes * num_rows)
    check_space(needs, f"{num_rows:,} encoded rows", "choose another directory (--work)")
    shards = _encode_missing(files, plans, runner or _here(encoder, source))
    if not work.agrees("table", source.identity()):
        raise InputError(
            f"{source.name} was changed while its rows were encoded; remove {work.path} and run "
            "the command again"
        )
    _tell_drift(shards, out, model)
    facts = {
        **facts_of_others(model.provenance), "effort": settings.effort,
        "made_by": f"chainer-nncompress {__version__}", "source": name_of(source.name),
    }  # fmt: skip
    made = [(files.path(plan), shard) for plan, shard in zip(plans, shards, strict=True)]
    out.finish(work, made, facts, plans[0].first)


def _row_bytes_of(model: Model) -> float:
    """Returns the approximate number of bytes of an encoded row."""
    told = number_of(model, "row_bytes", most=8.0 * model.dim + 64)
    return 4.0 * model.dim if told is None else told


def _work_of(work: str | os.PathLike | None, output: Path) -> Path:
    """Returns the work directory of a job.

    Raises:
        InputError: The output would be inside it, or it inside the output.
    """
    place = Path(f"{output}.work" if work is None else work)
    one, other = place.resolve(), output.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InputError(
            f"the work directory {place} and the output {output} overlap; choose another work "
            "directory (--work)"
        )
    return place


def _range_of(rows: tuple[int, int] | None, source: RowSource) -> tuple[int, int]:
    first, last = (0, source.num_rows) if rows is None else rows
    if not 0 <= first < last <= source.num_rows:
        raise InputError(
            f"rows {first:,} to {last:,} were requested, but {source.name} has "
            f"{source.num_rows:,}; wanted a first row and a later end within it "
            "(--rows FIRST:END)"
        )
    return first, last


def _here(encoder: BlockEncoder, source: RowSource) -> Runner:
    """Returns a runner that encodes blocks in this process, and reads ahead meanwhile."""

    def run(blocks: Iterable[Block]) -> Iterator[tuple[Block, EncodedBlock]]:
        blocks = list(blocks)
        ranges = [(block.first, block.last) for block in blocks]
        for block, rows in zip(blocks, read_ahead(source, ranges), strict=True):
            yield block, encoder.encode(rows, block.first)

    return run


def _encode_missing(files: ShardFiles, plans: Sequence[ShardPlan], run: Runner) -> list[Shard]:
    """Encodes the missing blocks, and assembles each shard as soon as its blocks are complete."""
    shards = {plan.number: files.shard(plan) for plan in plans}
    waiting: dict[int, set[Block]] = {}
    owners: dict[Block, ShardPlan] = {}
    missing: list[Block] = []
    done = 0
    for plan in plans:
        if shards[plan.number] is not None:
            done += plan.num_rows
            continue
        lacking = [block for block in plan.blocks if not files.has_block(plan, block)]
        done += plan.num_rows - sum(block.num_rows for block in lacking)
        waiting[plan.number] = set(lacking)
        owners |= dict.fromkeys(lacking, plan)
        missing += lacking
    # In the order of rows: a duplicate word belongs to the first row that has it.
    unmade = deque(plan for plan in plans if plan.number in waiting)

    def assemble() -> None:
        while unmade and not waiting[unmade[0].number]:
            shards[unmade[0].number] = files.assemble(unmade[0])
            unmade.popleft()

    assemble()
    total = sum(plan.num_rows for plan in plans)
    with progress_bar(total, "Encoding rows", delay=0, leave=True, initial=done) as bar:
        for block, encoded in run(missing):
            plan = owners[block]
            files.keep_block(plan, block, encoded)
            waiting[plan.number].remove(block)
            assemble()
            bar.update(block.num_rows)
    return [shards[plan.number] for plan in plans]


def _tell_drift(shards: Sequence[Shard], out: Output, model: Model) -> None:
    new = [sums for shard in shards if (sums := sums_of_shard(shard)) is not None]
    before = out.error
    if before is not None:
        warn_of_drift(new, before, "those already in the table")
    else:
        warn_of_drift(new, number_of(model, "error"), "the sample it was learnt on")
