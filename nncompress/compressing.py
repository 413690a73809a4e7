"""Compressing a table of any size: ``nncompress.compress``.

A table small enough to be refined in reasonable time takes the one road (``pipeline``). For a
larger one, a model is learnt on a sample, and the rows are encoded with it (``jobs``).
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
from nncompress.phases import MEASURING, SEARCHING, phases_of_files, phases_of_table
from nncompress.pipeline import make_table, save_table
from nncompress.plan import Plan
from nncompress.progress import expect, phase
from nncompress.sources.frequencies import has_frequencies
from nncompress.sources.row_source import RowSource
from nncompress.sources.tables import files_of


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

    Without M and K, rows are only coded by a trellis, which takes seconds, and one number sets the
    size or quality of the result: ``residual_bits``, ``bits_per_dim``, ``bytes_per_row``,
    ``distance``, ``cosine`` or ``recall``. With M or K, rows become additive codes, which are
    learnt, and ``residual_bits`` may be spent on the remainder.

    Args:
        source: Text, word2vec's binary format, fastText's ``.bin``, floret's text, ``.npy``,
            safetensors, a Hugging Face folder, an array or gensim's KeyedVectors; see
            ``sources.tables.open_table``. model2vec's token weights become ``extras`` of the
            result.
        output: The ``.nnc`` file to write; None for none.
        num_codebooks: M of additive codes; 32 if only K is given.
        num_codewords: K of additive codes; 16 if only M is given.
        residual_bits: The largest mean number of bits in a row's residual stage, not counting
            tables shared by all rows.
        bits_per_dim: The most bits per number of the table, counting everything except words.
        bytes_per_row: The most bytes per row, counting everything except words.
        distance: The largest mean Euclidean distance between rows and their reconstructions.
        cosine: The smallest mean cosine between them.
        recall: The smallest share of rows' 10 nearest neighbours to keep. If no target is given,
            it is 0.9 for tables of 1,000 rows or more; smaller ones get a cosine of 0.98.
        adaptive: Whether rows get bits by their weights: rows with larger weights are kept more
            accurately. Without ``weights``, a row's weight is one over its squared length, so that
            short rows are as accurate, relative to their length, as long ones. A cosine or a
            recall is always reached in this way.
        words: The words, if the source has none or to replace them.
        tensor: The tensor's name in safetensors files.
        limit: Number of leading rows to use; for fastText and gensim's FastText, of words.
        prune: Whether to leave out, in tables with rows of n-grams, the rows whose n-grams occur
            in no word. A word without a row is the mean of the remaining rows of its n-grams.
        corpus: The path of a text in which words are counted if there are no ``frequencies``:
            words separated by white space, or the tokens of the table's ``tokenizer.json``. With
            ``prune``, the n-grams of its words are kept. For a classifier of word n-grams, it is
            the text that it was trained on.
        objective: ``"distance"``, or ``"cosine"`` to keep only the rows' directions.
        weights: The weight of each row before ``limit``, ``(N,)``; None for equal weights.
        frequencies: The frequencies of words: counts by word, or the path of a text with a word
            and its count on each line. Frequent rows are kept more accurately: a row's weight is
            the square root of its frequency, divided by its squared length if rows would get bits
            by their length. ``adaptive`` is not needed.
        recipe: For additive codes: ``"fast"``, the default, ``"paper"`` (the Chainer port of 2018)
            or ``"authors"`` (the paper authors' own code).
        epochs: For additive codes: passes over the rows; the default depends on the recipe.
        time_budget: For additive codes: the approximate number of seconds for training, encoding
            and refinement together, in which case results depend on the machine's speed; None for
            no limit.
        codebook_dtype: For additive codes: ``"float16"``, ``"float32"`` or ``"auto"``, the
            default.
        seed: Seed of everything random. Without additive codes, nothing is random.
        gpu: Number of the GPU to compute on, -1 for the CPU.
        threads: Number of CPU threads; None for one per usable core.
        report: A function that is called with a line for each epoch, and for each point of the
            curve that a residual stage is chosen from; None for silence.
        curve: A file for that curve: a picture (.png, .pdf or .svg), or its numbers (.json).
        work: A directory in which intermediate results are kept until the end, so that repeating
            an interrupted call continues it and gives the same result; None for none.
        require: The requirements that the result has to meet to be written: the largest
            ``error``, or the smallest ``cosine``, ``cosine_worst``, ``recall`` or change of the
            score on ``pairs``; see ``evaluate.requirements.Requirement``.
        find: Whether to search for the smallest size that meets them.
        pairs: Files with two words and people's similarity score on each line, on which word
            similarity is measured before and after.

    Returns:
        The compressed embedding, opened from the file if one was written.

    Raises:
        InputError: An argument cannot be used. No file is written in that case.
        NotGoodEnough: A requirement is not met. No file is written in that case.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite. No file is written in that case.

    Examples:
        >>> emb = compress("glove.6B.300d.txt", "glove.nnc", recall=0.8, report=None)
        >>> emb.provenance["recall"] > 0.75
        True

        Nothing that falls short is written:

        >>> compress("glove.6B.300d.txt", bits_per_dim=1, require={"error": 1e-6}, report=None)
        Traceback (most recent call last):
        nncompress.errors.NotGoodEnough: ...
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
    """Compresses the table that ``open_table`` opens, as ``compress`` does.

    Args:
        table: The arguments ``source``, ``words``, ``tensor``, ``limit``, ``prune`` and ``corpus``
            of ``open_table``.
        output: The ``.nnc`` file to write; None for none.
        plan: The target for the table.
        machine: The machine to compute on.
        weights: The weight of each row before ``limit``, ``(N,)``; None for equal weights.
        weights_name: Their name in messages.
        frequencies: The frequencies of words, or the path of a file with them. With these or a
            ``corpus``, the plan must have ``by_frequency``.
        extras: Arrays that go with the rows in the file, by name; None for none.
        report: A function that is called with a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The work directory of the job; None for none.
        gate: The gate that the result has to pass, which records the measurements; None for one
            without requirements.

    Raises:
        InputError: An argument cannot be used. No file is written in that case.
        NotGoodEnough: A requirement is not met. No file is written in that case.
        OutputError: The file cannot be written. The message says where the result is instead.
        Diverged: A loss or a parameter is not finite. No file is written in that case.
    """
    gate = TableGate() if gate is None else gate
    check_files(table, output, plan, curve, frequencies, gate.pairs)
    if gate.find:
        check_search(plan, curve)
    files = files_of(table["source"])
    expect(lambda: phases_of_files(files, plan, machine, find=gate.find))
    with opened(table, plan, machine, output, work) as (rows, small, kept):
        if rows is not None:
            refuse_weights(rows, weights, frequencies, table.get("corpus"))
            if extras:
                raise InputError(
                    f"{rows.name} has {' and '.join(extras)} beside its {rows.num_rows:,} rows, "
                    "which a table with so many rows does not keep; compress the model's folder "
                    "to a folder instead"
                )
            if kept is not None:  # it contains the converted matrix
                work = f"{kept.path}-rows"
            return _compress_large(
                rows, output, plan, machine, gate, report=report, curve=curve, work=work
            )
        assert small is not None
        shape = small.matrix.shape
        expect(lambda: phases_of_table(shape, plan, machine, find=gate.find))
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
            with phase(SEARCHING):
                embedding = gate.smallest(
                    lambda bits: make(replace(wanted, target=Target(bits_per_dim=bits)), None),
                    small.matrix, report,
                )  # fmt: skip
        else:
            embedding = make(plan, report)
            with phase(MEASURING):
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
    """Compresses a large table, and measures a sample of its rows."""
    for given, what in ((gate.find, "--find codes"), (gate.pairs, "--pairs looks up words in")):
        if given:
            raise InputError(
                f"{what} all rows, but {rows.num_rows:,} are too many for that; leave it out, or "
                "use it with fewer rows (--limit)"
            )
    numbers = sampled_rows(rows.num_rows, min(SAMPLE_ROWS, rows.num_rows))

    def approve(embedding: CompressedEmbedding) -> None:
        with phase(MEASURING):
            gate.let_sample_pass(embedding, rows, numbers)

    embedding = compress_large(rows, output, plan, machine, approve=approve, **options)
    if gate.report is None:  # an earlier process has written the file
        approve(embedding)
    return embedding


def check_search(plan: Plan, curve: str | os.PathLike | None = None) -> None:
    """Refuses settings that do not fit a search for the smallest size.

    Raises:
        InputError: A size or a quality, additive codes, or a curve was requested.
    """
    if plan.size is not None:
        raise InputError(
            "--find searches for a size only without additive codes; leave out -M and -K"
        )
    if plan.target is not None:
        raise InputError(
            f"--find searches for the size, but {plan.target} was given; leave one of them out"
        )
    if curve is not None:
        raise InputError(
            "--curve shows the trials for one size, but --find tries several sizes; leave one of "
            "them out"
        )
