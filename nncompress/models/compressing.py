"""Compressing the tables of a model's folder: ``nncompress.compress_model``."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.compressing import check_search, compress_source
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.evaluate.gate import check, find_smallest
from nncompress.evaluate.report import Report
from nncompress.evaluate.summary import warn_if_ruined
from nncompress.evaluate.table_gate import TableGate
from nncompress.evaluate.target import Target
from nncompress.formats.files import check_place, scratch_directory
from nncompress.jobs.large import is_large
from nncompress.machine import Machine
from nncompress.models.evaluation import Tasks
from nncompress.models.folder import check_new_folder, check_untie, find_parts, written
from nncompress.models.folder_files import folder_bytes
from nncompress.models.model_gate import ModelGate
from nncompress.models.slots import TableSlot
from nncompress.models.static_file import from_int8
from nncompress.models.tensors import header_of
from nncompress.phases import phases_of_table
from nncompress.plan import Plan
from nncompress.progress import expect, phase
from nncompress.sources.frequencies import has_frequencies
from nncompress.timetable import Expected

# Phases, and about how long and how often a model is measured.
_MEASURING, _FINDING = "measuring the model", "searching the smallest size"
_USUAL_SECONDS, _USUAL_TRIALS = 5.0, 8
# The table and report of each slot.
Tables = dict[TableSlot, tuple[CompressedEmbedding, Report]]


@dataclass(frozen=True)
class CompressedModel:
    """The result of compressing a model.

    Attributes:
        tables: The compressed tables.
        sizes: The bytes of each table in the folder.
        report: The measurements; for rows, each figure is that of the table that fares worst.
        table_bytes: The bytes of all tables, before and after.
        folder_bytes: The bytes of all files, before and after.
        shared_with: The output layers that share a table.
        untied: Whether these layers keep the original table.
    """

    tables: Mapping[TableSlot, CompressedEmbedding]
    sizes: Mapping[TableSlot, int]
    report: Report
    table_bytes: tuple[int, int]
    folder_bytes: tuple[int, int]
    shared_with: tuple[str, ...] = ()
    untied: bool = False


def compress_model(
    folder: str | os.PathLike,
    output: str | os.PathLike,
    *,
    heads: Sequence[str] = (),
    untie: bool = False,
    require: Mapping[str, float] | None = None,
    find: bool = False,
    pairs: Sequence[str | os.PathLike] = (),
    sts: str | os.PathLike | None = None,
    text: str | os.PathLike | None = None,
    frequencies: str | os.PathLike | Mapping[str, float] | None = None,
    corpus: str | os.PathLike | None = None,
    gpu: int = -1,
    threads: int | None = None,
    report: Callable[[str], None] | None = print,
    **wanted: Any,
) -> CompressedModel:
    """Writes a model's folder with its tables compressed and everything else unchanged.

    Args:
        folder: The folder of a transformers, sentence-transformers or model2vec model.
        output: The folder to write, which appears whole or not at all.
        heads: The tensors of additional output layers to compress, each as a separate table. An
            output layer that shares the input embeddings keeps sharing them and is not listed.
        untie: Whether an output layer that shares the input embeddings keeps the original ones,
            which adds a matrix to the folder.
        require: The requirements that the model has to meet; see
            ``evaluate.requirements.Requirement``.
        find: Whether to search for the smallest size that meets them.
        pairs: Files of word pairs, for a sentence encoder.
        sts: A CSV file with two sentences and a score per line, for a sentence encoder.
        text: A text, for a language model.
        frequencies: Token frequencies, or the path of a file with them.
        corpus: A text whose tokens are counted.
        gpu: Number of the GPU to compute on, -1 for the CPU.
        threads: Number of CPU threads; None for one per usable core.
        report: A function that is called with a line for each step; None for silence.
        wanted: The size or quality of each table, as for ``nncompress.compress``:
            ``bits_per_dim``, ``recall``, ``num_codebooks`` and so on.

    Returns:
        The result, with sizes and measurements.

    Raises:
        InputError: An argument cannot be used. Nothing is written in that case.
        NotGoodEnough: A requirement is not met. Nothing is written in that case.
        OutputError: The folder cannot be written.
        ImportError: transformers is not installed, but the folder needs it.

    Examples:
        >>> model = compress_model("all-MiniLM-L6-v2", "small", bits_per_dim=2, report=None)
        >>> model.report.figures["error"].value < 0.5
        True
    """
    for name, given in (("heads", heads), ("pairs", pairs)):
        if isinstance(given, str):
            raise InputError(f"{name} is {given!r:.99}; wanted a list of strings")
    files = tuple(map(Path, pairs)), *(None if x is None else Path(x) for x in (sts, text))
    gate = ModelGate(require, find, Tasks(*files))
    plan = Plan.of(**wanted, by_frequency=has_frequencies(frequencies, corpus, False))
    model = compress_folder(
        folder, output, plan, Machine(gpu, threads), gate,
        heads=tuple(heads), untie=untie, frequencies=frequencies, corpus=corpus, report=report,
    )  # fmt: skip
    if report is not None:
        for name, line in model.report.lines.items():
            report(f"{name}: {line}")
    return model


def compress_folder(
    folder: str | os.PathLike,
    output: str | os.PathLike,
    plan: Plan,
    machine: Machine,
    gate: ModelGate,
    *,
    heads: tuple[str, ...] = (),
    untie: bool = False,
    weights: np.ndarray | None = None,
    frequencies: str | os.PathLike | Mapping[str, float] | None = None,
    corpus: str | os.PathLike | None = None,
    report: Callable[[str], None] | None = None,
) -> CompressedModel:
    """Compresses a model's folder, given a plan and a gate; see ``compress_model``.

    Args:
        folder: As in ``compress_model``.
        output: As in ``compress_model``.
        plan: The target of each table.
        machine: The machine to compute on.
        gate: The gate that the model has to pass.
        heads: As in ``compress_model``.
        untie: As in ``compress_model``.
        weights: The weight of each row of each table, ``(N,)``; None for equal weights.
        frequencies: As in ``compress_model``.
        corpus: As in ``compress_model``.
        report: As in ``compress_model``.

    Raises:
        InputError: An argument cannot be used. Nothing is written in that case.
        NotGoodEnough: A requirement is not met. Nothing is written in that case.
        OutputError: The folder cannot be written.
    """
    folder, output = Path(folder), Path(output)
    check_new_folder(output, folder)
    check_place(output)
    whole_before = folder_bytes(folder)
    parts = find_parts(folder, heads)
    slots = [slot for part in parts for slot in part.slots]
    shared = tuple(slot.head for slot in slots if slot.head is not None)
    _check(folder, plan, gate, slots, untie)

    options = {"weights": weights, "frequencies": frequencies, "corpus": corpus}

    def make(plan: Plan, report: Callable[[str], None] | None) -> Tables:
        return {slot: _compress(folder, slot, plan, machine, report, options) for slot in slots}

    def write(tables: Tables, place: Path) -> AbstractContextManager[Path]:
        embeddings = {slot: embedding for slot, (embedding, _) in tables.items()}
        return written(folder, place, parts, embeddings, untie)

    def measure(tables: Tables, place: Path) -> Report:
        return gate.measure(folder, place, [of_table for _, of_table in tables.values()])

    def try_out(tables: Tables) -> Report:
        with (
            scratch_directory() as scratch,
            write(tables, scratch / folder.resolve().name) as made,
        ):
            return measure(tables, made)

    expect(lambda: _phases(slots, plan, machine, find=gate.find))
    if gate.find:
        wanted = replace(plan, adaptive=plan.adaptive or gate.requirements.is_of_directions)
        with phase(_FINDING):
            tables, measured = find_smallest(
                lambda bits: make(replace(wanted, target=Target(bits_per_dim=bits)), None),
                try_out, gate.requirements, report=report,
            )  # fmt: skip
        with write(tables, output):
            pass
    else:
        tables = make(plan, report)
        with write(tables, output) as made:
            with phase(_MEASURING):
                measured = measure(tables, made)
            check(measured, gate.requirements)
    if not gate.requirements:  # with requirements, the user has already said what is enough
        warn_if_ruined(measured)
    embeddings = {slot: embedding for slot, (embedding, _) in tables.items()}
    sizes = {slot: tensor_bytes_of(output, slot.file, slot.compressed) for slot in slots}
    before = sum(tensor_bytes_of(folder, slot.file, slot.tensor) for slot in slots)
    return CompressedModel(
        embeddings, sizes, measured, (before, sum(sizes.values())),
        (whole_before, folder_bytes(output)), shared, untie,
    )  # fmt: skip


def tensor_bytes_of(folder: Path, file: Path, tensor: str) -> int:
    """Returns the bytes of a tensor in a model's folder."""
    return header_of(folder / file).tensors[tensor].num_bytes


def table_of(
    folder: Path, slot: TableSlot, corpus: str | os.PathLike | None = None
) -> dict[str, Any]:
    """Returns the arguments of ``open_table`` for a table of a folder.

    Raises:
        InputError: A text is given, but the folder does not say which tokens its rows are.
    """
    if corpus is not None and slot.tokens is None:
        raise InputError(
            f"{folder / slot.file} does not say which tokens the rows of {slot.tensor!r} are, so "
            "they cannot be counted in a text; leave out --corpus"
        )
    rows = from_int8(folder / slot.file, slot.tensor)
    return {
        "source": folder / slot.file if rows is None else rows,
        "tensor": slot.tensor if rows is None else None,
        "words": None if slot.tokens is None else folder / slot.tokens,
        "limit": None,
        "prune": False,
        "corpus": corpus,
    }


def _name_of_phase(slot: TableSlot) -> str:
    return f"compressing {slot.tensor}"


def _phases(slots: list[TableSlot], plan: Plan, machine: Machine, *, find: bool) -> list[Expected]:
    """Returns the phases of compressing a model's tables and measuring the model."""
    tables = []
    for slot in slots:
        phases = phases_of_table((slot.num_rows, slot.dim), plan, machine)
        seconds = sum(each.seconds for each in phases)
        tables.append(Expected(_name_of_phase(slot), seconds))
    if not find:
        return [*tables, Expected(_MEASURING, _USUAL_SECONDS)]
    seconds = _USUAL_SECONDS + sum(each.seconds for each in tables)
    return [Expected(_FINDING, _USUAL_TRIALS * seconds)]


def _check(folder: Path, plan: Plan, gate: ModelGate, slots: list[TableSlot], untie: bool) -> None:
    """Refuses settings that do not fit together or do not fit the model."""
    gate.tasks.check(folder)
    for slot in slots:
        if is_large(slot.num_rows, slot.dim):
            raise InputError(
                f"{folder / slot.file}: {slot.tensor!r} has {slot.num_rows:,} rows of {slot.dim}, "
                "too many for a model's folder; compress this table to a separate file or "
                "directory, with a name that ends in .nnc"
            )
    if untie:
        check_untie(folder, slots)
    if gate.find:
        check_search(plan)


def _compress(
    folder: Path,
    slot: TableSlot,
    plan: Plan,
    machine: Machine,
    report: Callable[[str], None] | None,
    options: Mapping[str, Any],
) -> tuple[CompressedEmbedding, Report]:
    """Compresses a table of a folder and measures its rows."""
    if report is not None:
        report(f"{slot.tensor}, {slot.num_rows:,} x {slot.dim}")
    gate = TableGate(warns=False)
    with phase(_name_of_phase(slot)):
        embedding = compress_source(
            table_of(folder, slot, options["corpus"]), None, plan, machine,
            weights=options["weights"], frequencies=options["frequencies"], gate=gate,
            report=report,
        )  # fmt: skip
    assert gate.report is not None
    return embedding, gate.report
