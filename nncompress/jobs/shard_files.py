"""The blocks and shards of a job in its work directory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from nncompress.embedding.directory_writing import shard_of
from nncompress.embedding.keys import vocabulary_of
from nncompress.embedding.model import Model
from nncompress.embedding.nnc_file import Contents, read_nnc, write_rows
from nncompress.embedding.sharded_vocabulary import without_known
from nncompress.embedding.table_directory import MODEL_FILE, Shard
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.errors import FormatError
from nncompress.formats.work import WorkDirectory
from nncompress.jobs.block_encoder import EncodedBlock, Sums, stage_of
from nncompress.jobs.blocks import Block, ShardPlan
from nncompress.sources.row_source import RowWords


class ShardFiles:
    """The results of a job so far: complete shards, and blocks of the others.

    Args:
        work: The job's work directory.
        model: The model of all rows.
        model_digest: Its digest.
        words: The words of the table's rows; None if there are none.
        before: The vocabularies of rows before those of the job; their words are not repeated.
    """

    def __init__(
        self,
        work: WorkDirectory,
        model: Model,
        model_digest: str,
        words: RowWords | None,
        before: Sequence[Vocabulary],
    ) -> None:
        self._work, self._model, self._digest = work, model, model_digest
        self._words = words
        self._before = list(before)
        self._num_before = sum(map(len, before))
        self._vocabularies: dict[int, Vocabulary] = {}  # by shard number

    def shard(self, plan: ShardPlan) -> Shard | None:
        """Returns the entry of a shard; None if it is not complete and intact."""
        path = self.path(plan)
        if not path.is_file():
            return None
        try:
            contents = read_nnc(
                path, verified=True, model_of=lambda _: (self._model, self._digest)
            )
        except FormatError:
            self._work.discard_damaged(_shard_name(plan))
            return None
        if contents.vocabulary is not None:
            before = self._work.noted(_shard_name(plan))
            if before != self._num_before:  # rows with words have since been added to the table
                contents = replace(contents, vocabulary=self._vocabulary(plan))
                write_rows(path, contents, MODEL_FILE, self._digest)
                self._work.note(_shard_name(plan), self._num_before)
            self._vocabularies[plan.number] = contents.vocabulary
        return shard_of(path, contents, contents.provenance)

    def path(self, plan: ShardPlan) -> Path:
        """Returns the path of a complete shard's file."""
        return self._work.state_path(_shard_name(plan))

    def has_block(self, plan: ShardPlan, block: Block) -> bool:
        """Tells whether a block is complete and intact."""
        return self._work.load(_block_name(plan, block)) is not None

    def keep_block(self, plan: ShardPlan, block: Block, encoded: EncodedBlock) -> None:
        """Saves a finished block.

        Raises:
            OutputError: It cannot be written.
        """
        facts = {"sums": vars(encoded.sums)}
        self._work.save(_block_name(plan, block), encoded.arrays, facts)

    def assemble(self, plan: ShardPlan) -> Shard:
        """Assembles a shard from its finished blocks, after all shards before it.

        Raises:
            OutputError: It cannot be written.
        """
        states = [self._work.load(_block_name(plan, block)) for block in plan.blocks]
        arrays = [dict(state.arrays) for state in states if state is not None]
        if len(arrays) < len(states):
            raise FormatError(
                f"a block in {self._work.path} was damaged while the job ran; run the command "
                "again to encode it again"
            )
        sums = [Sums(**state.facts["sums"]) for state in states if state is not None]
        total = sums[0]
        for each in sums[1:]:
            total += each
        packed = None
        if self._model.packing is not None:
            packed = np.concatenate([each["codes"] for each in arrays])
        table = self._model.table(packed, stage_of(self._model, arrays, plan.num_rows))
        vocabulary = self._vocabulary(plan)
        contents = Contents(table, vocabulary, vars(total))
        path = self.path(plan)
        if vocabulary is not None:
            self._work.note(_shard_name(plan), self._num_before)
        write_rows(path, contents, MODEL_FILE, self._digest)
        for block in plan.blocks:
            self._work.discard(_block_name(plan, block))
        if vocabulary is not None:
            written = read_nnc(path, model_of=lambda _: (self._model, self._digest))
            self._vocabularies[plan.number] = cast(Vocabulary, written.vocabulary)  # mapped
        return shard_of(path, contents, vars(total))

    def _vocabulary(self, plan: ShardPlan) -> Vocabulary | None:
        """Returns the words of a shard's rows, except those of earlier rows."""
        if self._words is None:
            return None
        words = self._words.read(plan.first, min(plan.last, max(plan.first, len(self._words))))
        before = [each for n, each in self._vocabularies.items() if n < plan.number]
        return vocabulary_of(without_known(words, [*self._before, *before]), plan.num_rows)


def _shard_name(plan: ShardPlan) -> str:
    return f"rows-{plan.number:05d}"


def _block_name(plan: ShardPlan, block: Block) -> str:
    return f"block-{plan.number:05d}-{block.number:05d}"
