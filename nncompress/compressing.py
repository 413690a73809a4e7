"""Compressing a table of any size: ``nncompress.compress``.

A table that refinement goes through in reasonable time takes the one road (``pipeline``). For a
larger one a model is learnt on a sample, and rows are encoded by it (``jobs``).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.evaluate.by_frequency import measure_bought
from nncompress.evaluate.summary import SAMPLE_ROWS
from nncompress.evaluate.table_gate import TableGate
from nncompress.evaluate.target import Target
from nncompress.jobs.large import compress_large
from nncompress.jobs.learning import sampled_rows
from nncompress.machine import Machine
from nncompress.opening import (
    check_files,
    extras_of_tokens,
    opened,
    refuse_weights,
    weigh_rows,
)
from nncompress.pipeline import make_table, save_table
from nncompress.plan import Plan
from nncompress.sources.frequencies import has_frequencies
from nncompress.sources.row_source import RowSource


def compress(
    source: object,
    output: str | os.PathLike | None = None,
    *,
    num_codebooks: int | None = None,
    num_codewords: int | None = None,
    residual_bits: float | None = None,
    bits_per_dim: float | None = None,
    bytes_per_row: float | None = None,
    distance: float | None = None,
    cosine: float | None = None,
    recall: float | None = None,
    adaptive: bool = False,
    words: str | os.PathLike | Sequence[str | None] | None = None,
    tensor: str | None = None,
    limit: int | None = None,
    prune: bool = False,
    corpus: str | os.PathLike | None = None,
    objective: str = "distance",
    weights: np.ndarray | None = None,
    frequencies: str | os.PathLike | Mapping[str, float] | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    time_budget: float | None = None,
    codebook_dtype: str | None = None,
    seed: int = 0,
    gpu: int = -1,
    threads: int | None = None,
    report: Callable[[str], None] | None = print,
    curve: str | os.PathLike | None = None,
    work: str | os.PathLike | None = None,
    require: Mapping[str, float] | None = None,
    find: bool = False,
    pairs: Sequence[str | os.PathLike] = (),
) -> CompressedEmbedding:
    """Compresses a table of vectors.

    Without M and K, rows are coded by a trellis alone, in seconds, and one number says how large
    or how good the result is to be: ``residual_bits``, ``bits_per_dim``, ``bytes_per_row``,
    ``distance``, ``cosine`` or ``recall``. With M or K, rows become additive codes, which are
    learnt, and ``residual_bits`` may be spent on what they leave.

    Args:
        source: Text, word2vec's binary format, fastText's ``.bin``, floret's text, ``.npy``,
            safetensors, a Hugging Face folder, an array or gensim's KeyedVectors; see
            ``sources.tables.open_table``. The weights that model2vec has for tokens become
            ``extras`` of the result.
        output: The ``.nnc`` file to write; None for none.
        num_codebooks: M of additive codes; 32 if K alone is given.
        num_codewords: K of additive codes; 16 if M alone is given.
        residual_bits: The most bits of a row's residual stage in the mean, tables that all rows
            share aside.
        bits_per_dim: The most bits for each number of the table, all counted but words.
        bytes_per_row: The most bytes for each row, all counted but words.
        distance: The largest mean Euclidean distance between rows and their reconstructions.
        cosine: The smallest mean cosine between them.
        recall: The smallest share of rows' 10 nearest neighbours to keep. If nothing else is
            asked for it is 0.9, for tables of 1,000 rows or more; others get a cosine of 0.98.
        adaptive: Whether rows get bits by their weights: those of larger weight are kept more
            closely. Without ``weights``, a row's weight is one over its squared length, so that
            short rows are kept as closely, for their length, as long ones. A cosine or a recall
            is reached so in any case.
        words: The words, where the source has none or others are wanted.
        tensor: The tensor's name in safetensors files.
        limit: Number of leading rows to use; of fastText's and gensim's FastText, of words.
        prune: Whether to leave out the rows of n-grams that no word has, of tables that have such
            rows. A word without a row is the mean of the rows that are left of its n-grams.
        corpus: The path of a text in which words are counted, for want of ``frequencies``: those
            between white space, or the tokens of the table's ``tokenizer.json``. With ``prune``,
            the rows of its words' n-grams are not left out. For a classifier of word n-grams it is
            the text that it was trained on.
        objective: ``"distance"``, or ``"cosine"`` to keep the rows' directions alone.
        weights: The weight of each row before ``limit``, ``(N,)``; None: all the same.
        frequencies: How often words occur: counts by word, or the path of text with a word and its
            count a line. Rows that occur more are kept more closely: a row's weight is the square
            root of its frequency, and where rows would get bits by their length, that over its
            squared length. ``adaptive`` is not needed.
        recipe: For additive codes: ``"fast"``, the default, ``"paper"`` (the Chainer port of 2018)
            or ``"authors"`` (the paper authors' own code).
        epochs: For additive codes: passes over the rows; the recipe chooses by default.
        time_budget: For additive codes: seconds to train, encode and refine for, roughly, and
            results depend on the machine's speed then; None: no limit.
        codebook_dtype: For additive codes: ``"float16"``, ``"float32"`` or ``"auto"``, the
            default.
        seed: Seed of everything random. Nothing is where there are no additive codes.
        gpu: Number of the GPU to compute on, -1 for the CPU.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
        report: A function that takes a line for each epoch, and for each point of the curve that a
            residual stage is chosen from; None for silence.
        curve: A file for that curve: a picture (.png, .pdf or .svg), or its numbers (.json).
        work: A directory in which what is computed is kept until the end, so that the same call
            continues one that was interrupted, and comes to the same result; None for none.
        require: What the result has to reach, or is not written: the largest ``error``, or the
            smallest ``cosine``, ``cosine_worst``, ``recall`` or change of the score on ``pairs``;
            see ``evaluate.requirements.Requirement``.
        find: Whether to search the smallest size that reaches it.
        pairs: Files of two words and people's similarity a line, on which word similarity is
            measured before and after.

    Returns:
        The compressed embedding, opened from the file if one was written.

    Raises:
        InputError: Something given cannot be used. No file has been written then.
        NotGoodEnough: What is required is not reached. No file has been written then.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite. No file has been written then.

    .. admonition:: Example

        >>> nncompress.compress("glove.6B.300d.txt", "glove.nnc", recall=0.8)
    """
    plan = Plan.of(
        num_codebooks=num_codebooks, num_codewords=num_codewords, residual_bits=residual_bits,
        bits_per_dim=bits_per_dim, bytes_per_row=bytes_per_row, distance=distance, cosine=cosine,
        recall=recall, adaptive=adaptive, objective=objective, recipe=recipe, epochs=epochs,
        time_budget=time_budget, codebook_dtype=codebook_dtype, seed=seed,
        has_weights=weights is not None,
        by_frequency=has_frequencies(frequencies, corpus, prune),
    )  # fmt: skip
    table = {
        "source": source, "words": words, "tensor": tensor, "limit": limit, "prune": prune,
        "corpus": corpus,
    }  # fmt: skip
    gate = TableGate(require, find, pairs)
    embedding = compress_source(
        table, output, plan, Machine(gpu, threads),
        weights=weights, frequencies=frequencies, extras=extras_of_tokens(table),
        report=report, curve=curve, work=work, gate=gate,
    )  # fmt: skip
    if report is not None and gate.report is not None:
        for name, line in gate.report.lines.items():
            report(f"{name}: {line}")
    return embedding


def compress_source(
    table: Mapping[str, Any],
    output: str | os.PathLike | None,
    plan: Plan,
    machine: Machine,
    *,
    weights: np.ndarray | None = None,
    weights_name: str = "the weights",
    frequencies: str | os.PathLike | Mapping[str, float] | None = None,
    extras: Mapping[str, np.ndarray] | None = None,
    report: Callable[[str], None] | None = None,
    curve: str | os.PathLike | None = None,
    work: str | os.PathLike | None = None,
    gate: TableGate | None = None,
) -> CompressedEmbedding:
    """Compresses what ``open_table`` opens, as ``compress`` does.

    Args:
        table: The arguments ``source``, ``words``, ``tensor``, ``limit``, ``prune`` and ``corpus``
            of ``open_table``.
        output: The ``.nnc`` file to write; None for none.
        plan: What the table is to become.
        machine: The machine to compute on.
        weights: The weight of each row before ``limit``, ``(N,)``; None: all the same.
        weights_name: Their name in messages.
        frequencies: How often words occur, or the path of a file that says so. With these or a
            ``corpus``, the plan is to go by them.
        extras: Arrays that go with the rows in the file, by name; None for none.
        report: A function that takes a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The directory in which the job is kept until its end; None for none.
        gate: What the result has to reach; what is measured of it is told there. None: nothing.

    Raises:
        InputError: Something given cannot be used. No file has been written then.
        NotGoodEnough: What is required is not reached. No file has been written then.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite. No file has been written then.
    """
    gate = TableGate() if gate is None else gate
    check_files(table, output, plan, curve, frequencies, gate.pairs)
    if gate.find:
        check_search(plan, curve)
    with opened(table, plan, machine, output, work) as (rows, small, kept):
        if rows is not None:
            refuse_weights(rows, weights, frequencies, table.get("corpus"))
            if extras:
                raise InputError(
                    f"{rows.name} has {' and '.join(extras)} beside its {rows.num_rows:,} rows, "
                    "which a table of so many does not keep; compress the model's folder to a "
                    "folder"
                )
            if kept is not None:  # with what was converted in it
                work = f"{kept.path}-rows"
            return _compress_large(
                rows, output, plan, machine, gate, report=report, curve=curve, work=work
            )
        assert small is not None
        weights, found = weigh_rows(table, small, weights, weights_name, frequencies)
        if found is not None and report is not None:
            report(str(found))
        gate.check_table(len(small.matrix), small.words, small.subwords)
        if report is not None and small.subwords is not None:
            report(str(small.subwords))

        def make(plan: Plan, report: Callable[[str], None] | None) -> CompressedEmbedding:
            return make_table(
                small, plan, machine,
                output=output, weights=weights, report=report, curve=curve, work=kept,
            )  # fmt: skip

        by_length = plan.has_bits_by_length
        if gate.find:
            by_length = by_weight = plan.adaptive or gate.requirements.is_of_directions
            wanted = replace(plan, adaptive=by_weight)
            embedding = gate.smallest(
                lambda bits: make(replace(wanted, target=Target(bits_per_dim=bits)), None),
                small.matrix, report,
            )  # fmt: skip
        else:
            embedding = make(plan, report)
            gate.let_pass(embedding, small.matrix)
        if found is not None:
            bought = measure_bought(
                embedding.table, small.matrix, found, machine, by_length=by_length
            )
            embedding.provenance |= bought.facts
            if report is not None:
                report(str(bought))
        embedding.extras |= extras or {}
        if output is not None:
            embedding = save_table(embedding, output, kept)
        if kept is not None:
            kept.finish()
        return embedding


def _compress_large(
    rows: RowSource,
    output: str | os.PathLike | None,
    plan: Plan,
    machine: Machine,
    gate: TableGate,
    **options: Any,
) -> CompressedEmbedding:
    """Compresses a large table, of which some rows are measured."""
    for given, what in ((gate.find, "--find codes"), (gate.pairs, "--pairs looks words up in")):
        if given:
            raise InputError(
                f"{what} all of {rows.num_rows:,} rows, which are too many for it; leave it out, "
                "or use it with fewer rows (--limit)"
            )
    numbers = sampled_rows(rows.num_rows, min(SAMPLE_ROWS, rows.num_rows))

    def approve(embedding: CompressedEmbedding) -> None:
        gate.let_sample_pass(embedding, rows, numbers)

    embedding = compress_large(rows, output, plan, machine, approve=approve, **options)
    if gate.report is None:  # an earlier process had written the file
        approve(embedding)
    return embedding


def check_search(plan: Plan, curve: str | os.PathLike | None = None) -> None:
    """Refuses what does not go with a search for the smallest size.

    Raises:
        InputError: A size or a quality is asked for, additive codes are, or a curve is.
    """
    if plan.size is not None:
        raise InputError(
            "--find searches the size of a table that is coded by a trellis alone; leave the "
            "additive codes (-M, -K) out"
        )
    if plan.target is not None:
        raise InputError(
            f"--find searches the size, and {plan.target} was asked for; leave one of them out"
        )
    if curve is not None:
        raise InputError(
            "--curve shows the trials of one size, and --find tries several sizes; leave one of "
            "them out"
        )
