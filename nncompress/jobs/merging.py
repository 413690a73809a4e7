"""Merging several tables into one, and splitting one into shards."""

import os
from collections.abc import Iterator, Sequence

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.directory_writing import check_new_directory, write_directory
from nncompress.embedding.joining import aligned_rows, joined, part_of
from nncompress.embedding.keys import vocabulary_of
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import digest_of_model
from nncompress.embedding.nnc_file import Contents
from nncompress.embedding.provenance import ENCODING, facts_of_others
from nncompress.embedding.residual_table import SingleTable
from nncompress.embedding.sharded_table import ShardedTable, shards_of
from nncompress.embedding.sharded_vocabulary import ShardedVocabulary, without_known
from nncompress.embedding.table_directory import (
    is_table_directory,
    read_manifest,
    refuse_part_of_table,
)
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.errors import InputError
from nncompress.formats.files import check_output


def merge(
    tables: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    shard_rows: int | None = None,
) -> CompressedEmbedding:
    """Writes the rows of several tables as one table.

    Nothing is encoded again. Rows are copied from file to file; words are held in memory.

    Args:
        tables: ``.nnc`` files and directories of shards with the same model, in the order of
            their rows.
        output: The file to write.
        shard_rows: The number of rows in each file of a directory to write instead, a multiple
            of the rows in a block and of 8; None to write one file.

    Returns:
        The table, opened.

    Raises:
        InputError: The tables have different models, parts of a table are not in order, or the
            output cannot be used.
        OutputError: The output cannot be written.
    """
    if shard_rows is None:
        check_output(output, tables)
        refuse_part_of_table(output)
    else:
        check_new_directory(output)
    opened = [CompressedEmbedding.load(path) for path in tables]
    model = _model_of(tables, opened)
    aligned = aligned_rows(model)
    if shard_rows is not None and (shard_rows < 1 or shard_rows % aligned):
        raise InputError(
            f"a shard has {shard_rows} rows; wanted a multiple of {aligned} (--shard-rows)"
        )
    _check_order(tables, opened)
    shards = [shard for each in opened for shard in shards_of(each.table)]
    table = ShardedTable(shards)
    parts = [part for each in opened for part in each.shard_vocabularies]
    words = None
    if any(part is not None for part in parts):
        words = ShardedVocabulary(parts, table.first_rows.tolist(), table.num_rows)
    facts = opened[0].provenance
    if len(opened) > 1:
        facts = facts_of_others(facts)
    facts = {**facts, ENCODING: dict(model.encoding)}
    if shard_rows is None:
        CompressedEmbedding(table, words, facts).save(output)
    else:
        facts.pop(ENCODING)
        contents = _contents(table, parts, shard_rows, facts)
        write_directory(output, model, contents, facts, first_row=_first_row(tables[0]))
    return CompressedEmbedding.load(output)


def _contents(
    table: ShardedTable,
    vocabularies: Sequence[Vocabulary | None],
    shard_rows: int,
    facts: dict[str, object],
) -> Iterator[Contents]:
    """Yields the contents of files to write; no word is in more than one of them."""
    known: list[Vocabulary] = []
    words: list[str | None] = []
    waiting: list[SingleTable] = []

    def cut(num_rows: int) -> Contents:
        """Takes leading rows from those that are waiting."""
        one = joined(waiting, in_memory=True)
        waiting[:] = [part_of(one, num_rows, one.num_rows)] if num_rows < one.num_rows else []
        own, words[:] = words[:num_rows], words[num_rows:]
        vocabulary = None
        if any(word is not None for word in own):
            vocabulary = vocabulary_of(without_known(own, known), num_rows)
            known.append(vocabulary)
        return Contents(part_of(one, 0, num_rows), vocabulary, facts)

    for shard, part in zip(table.shards, vocabularies, strict=True):
        waiting.append(shard)
        words += [None] * shard.num_rows if part is None else part.words()
        while sum(each.num_rows for each in waiting) >= shard_rows:
            yield cut(shard_rows)
    if waiting:
        yield cut(sum(each.num_rows for each in waiting))


def _model_of(paths: Sequence[str | os.PathLike], opened: Sequence[CompressedEmbedding]) -> Model:
    """Returns the model of all tables.

    Raises:
        InputError: They have different models.
    """
    digests = [digest_of_model(Model.of_table(shards_of(each.table)[0], {})) for each in opened]
    for path, digest in zip(paths, digests, strict=True):
        if digest != digests[0]:
            raise InputError(
                f"{path} holds rows of a different model than {paths[0]}; wanted rows encoded by "
                "one model"
            )
    return opened[0].model


def _check_order(
    paths: Sequence[str | os.PathLike], opened: Sequence[CompressedEmbedding]
) -> None:
    """Refuses parts of one table that are not consecutive.

    Tables that begin with their own row 0 may also follow each other.
    """
    from_start, expected = True, 0
    for number, (path, each) in enumerate(zip(paths, opened, strict=True)):
        first = _first_row(path)
        if number == 0:
            from_start = first == 0
        elif first != expected and not (first == 0 and from_start):
            raise InputError(
                f"{path} begins with row {first:,} of its table, but {paths[number - 1]} before "
                f"it ends with row {expected - 1:,}; wanted all parts, in the order of their rows"
            )
        expected = first + each.table.num_rows


def _first_row(path: str | os.PathLike) -> int:
    return read_manifest(path).first_row if is_table_directory(path) else 0
