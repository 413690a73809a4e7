"""Joining tables that share a codebook into one, and cutting a table into parts."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nncompress.embedding.centres import TOGETHER
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.model import Model
from nncompress.embedding.residual import Residual, Stream
from nncompress.embedding.residual_table import ResidualTable, SingleTable
from nncompress.embedding.sharded_table import Table, shards_of
from nncompress.formats.parts import Parts


def aligned_rows(table: SingleTable | Model) -> int:
    """Returns the number of rows at whose multiples a table can be cut into parts."""
    residual = None if isinstance(table, CodeTable) else table.residual
    return TOGETHER if residual is None else math.lcm(TOGETHER, residual.stream.block_rows)


def as_one(table: Table) -> SingleTable:
    """Returns a single table of all rows, copied into memory if they were in several."""
    shards = shards_of(table)
    return shards[0] if len(shards) == 1 else joined(shards, in_memory=True)


def joined(tables: Sequence[SingleTable], *, in_memory: bool = False) -> SingleTable:
    """Returns one table of the rows of several, one after the other.

    Args:
        tables: Tables with the same codebook, axes and entropy tables.
        in_memory: Whether to copy rows. Otherwise the table's arrays may be ``Parts``, which can
            only be written.

    Raises:
        ImportError: A table ends within a block of several rows, which has to be coded again, and
            Numba is not installed.
    """
    additives = [_additive(table) for table in tables]
    stages = [table.residual for table in tables if isinstance(table, ResidualTable)]
    additive = None
    if additives[0] is not None:
        packed = Parts([each.packed for each in additives if each is not None])
        first = additives[0]
        codes = packed.whole() if in_memory else packed
        additive = CodeTable(codes, first.stored_codebook, first.num_codebooks)  # type: ignore[arg-type]
    if not stages:
        assert additive is not None
        return additive
    stage = join_stages(stages)
    if in_memory and isinstance(stage.stream.data, Parts):
        stage = stage.with_rows(
            replace(stage.stream, data=stage.stream.data.whole()),
            None if stage.centres is None else stage.centres.clusters,
        )
    return ResidualTable(stage, additive)


def join_stages(stages: Sequence[Residual]) -> Residual:
    """Returns one stage of the rows of several, whose data may be ``Parts``.

    Blocks are kept as they are, as long as those before them are full.

    Args:
        stages: Stages with the same axes and tables.
    """
    group = stages[0].stream.block_rows
    meeting = 1
    while meeting < len(stages) and stages[meeting - 1].num_rows % group == 0:
        meeting += 1
    data = [stage.stream.data[: _end(stage.stream)] for stage in stages[:meeting]]
    lengths = [s.stream.lengths_of(0, s.stream.num_blocks) for s in stages[:meeting]]
    if meeting < len(stages):
        from nncompress.trellis.rows import recoded

        last = stages[meeting - 1].stream
        full = last.num_rows // group
        kept = int(lengths[-1][:full].sum())
        data[-1], lengths[-1] = data[-1][:kept], lengths[-1][:full]
        rest = [(stages[meeting - 1], full * group), *((stage, 0) for stage in stages[meeting:])]
        more, their_lengths = recoded(rest)
        data.append(more)
        lengths.append(their_lengths)
    num_rows = sum(stage.num_rows for stage in stages)
    all_lengths = np.concatenate([each.astype(np.uint32) for each in lengths])
    stream = Stream.of(Parts(data), all_lengths, group, num_rows)
    return stages[0].with_rows(stream, _clusters(stages))


def part_of(table: SingleTable, first: int, last: int) -> SingleTable:
    """Returns rows ``first ... last-1`` of a table, sharing its bytes.

    Args:
        table: The table.
        first: A multiple of ``aligned_rows``.
        last: A later multiple, or N.
    """
    additive = _additive(table)
    if additive is not None:
        additive = additive.with_rows(additive.packed[first:last])
    if not isinstance(table, ResidualTable):
        assert additive is not None
        return additive
    stage, group = table.residual, table.residual.stream.block_rows
    clusters = None
    if stage.centres is not None:
        clusters = stage.centres.clusters[first // TOGETHER : -(-last // TOGETHER)]
    stream = stage.stream.part(first // group, -(-last // group))
    return ResidualTable(stage.with_rows(stream, clusters), additive)


def _additive(table: SingleTable) -> CodeTable | None:
    return table.additive if isinstance(table, ResidualTable) else table


def _end(stream: Stream) -> int:
    """Returns the end of the last block in the data."""
    return int(stream.places(np.array([stream.num_blocks - 1]))[1][0])


def _clusters(stages: Sequence[Residual]) -> np.ndarray | None:
    centres = [stage.centres for stage in stages if stage.centres is not None]
    if not centres:
        return None
    if all(stage.num_rows % TOGETHER == 0 for stage in stages[:-1]):
        return Parts([each.clusters for each in centres]).whole()
    clusters = [
        each.of_rows(np.arange(stage.num_rows))
        for each, stage in zip(centres, stages, strict=True)
    ]
    return centres[0].pack(np.concatenate(clusters), centres[0].bits)
