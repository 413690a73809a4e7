"""Compressing a large table: a model is learnt on a sample, and all rows are encoded by it."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.model_file import read_model, write_model
from nncompress.embedding.table_directory import is_table_directory
from nncompress.errors import InputError, NotGoodEnough, OutputError
from nncompress.formats.work import WorkDirectory, is_work_directory
from nncompress.job import open_work
from nncompress.jobs.encoding import EncodingSettings, encode_rows
from nncompress.jobs.learning import learn_model
from nncompress.jobs.merging import merge
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.sources.row_source import RowSource
from nncompress.version import __version__

# Tables of more rows, or of more bytes in float32, are large.
_MOST_ROWS, _MOST_BYTES = 1 << 22, 8 << 30
_MODEL, _TABLE, _LEARNING, _ENCODING = "model.nnc", "table.nnc", "learning", "encoding"
_JOB = "job"
_PARTS = (_MODEL, _TABLE, _LEARNING, _ENCODING)  # beside the job
_MERGED = "merged"


def is_large(num_rows: int, dim: int) -> bool:
    """Tells whether a table of N rows and D columns is compressed by a model of a sample."""
    return num_rows > _MOST_ROWS or 4 * num_rows * dim > _MOST_BYTES


def compress_large(
    source: RowSource,
    output: str | os.PathLike | None,
    plan: Plan,
    machine: Machine,
    *,
    report: Callable[[str], None] | None = None,
    curve: str | os.PathLike | None = None,
    work: str | os.PathLike | None = None,
    approve: Callable[[CompressedEmbedding], None] | None = None,
) -> CompressedEmbedding:
    """Learns a model, encodes all rows by it, and makes one file of them.

    What is done is kept in a directory, from which the same call goes on.

    Args:
        source: The table, ``(N, D)``.
        output: The ``.nnc`` file to write.
        plan: What the table is to become.
        machine: The machine to compute on.
        report: A function that takes a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The directory; None: one beside the output, ``OUTPUT.work``.
        approve: A function that looks at the encoded rows before they are written to the output,
            and raises ``NotGoodEnough`` if they must not be.

    Raises:
        NotGoodEnough: They are not approved. What was computed stays in the directory.
        InputError: Something given cannot be used, or there is no output.
        OutputError: Something cannot be written.
        Diverged: A loss or a parameter is not finite.
    """
    if output is None:
        raise InputError(
            f"{source.name} has {source.num_rows:,} rows, which are compressed into a file; "
            "wanted the name of one"
        )
    if plan.refinement.seconds is not None:
        raise InputError(
            f"a time budget (--time-budget) was given for {source.num_rows:,} rows; how long they "
            "are encoded is chosen by nncompress encode --effort, so leave it out"
        )
    output = Path(output)
    place = Path(f"{output}.work" if work is None else work)
    _check_place(place, output)
    if report is not None:
        report(f"{source.num_rows:,} rows: a model is learnt on a sample, kept in {place}")
    with WorkDirectory.open(place / _JOB) as job:
        job.require({
            "version": __version__, "table": source.identity(),
            "device": "CPU" if machine.gpu < 0 else "GPU",
            **plan.settings(), **asdict(plan.training),
        })  # fmt: skip
        job.save(_JOB, {}, {})
        ended = {"output": str(output.resolve())}
        merged = job.load(_MERGED)
        if merged is None or merged.facts != ended or not output.is_file():
            if merged is not None:  # of what was there, some may be removed
                job.discard(_MERGED)
                _remove_parts(place, output)
            _encode(source, plan, machine, place, report, curve)
            if approve is not None:
                _require(approve, place)
            merge([place / _TABLE], output)
            job.save(_MERGED, {}, ended)
        # The job's description goes last: without it nobody would know whose the parts are.
        _remove_parts(place, output)
        job.finish()
    with suppress(OSError):
        place.rmdir()
    return CompressedEmbedding.load(output)


def _require(approve: Callable[[CompressedEmbedding], None], place: Path) -> None:
    """Has the encoded rows looked at; the error says where they stay."""
    try:
        approve(CompressedEmbedding.load(place / _TABLE))
    except NotGoodEnough as error:
        raise NotGoodEnough(
            f"{error}; what was computed stays in {place}: give the command again with other "
            "requirements, or remove it for another size"
        ) from None


def _check_place(place: Path, output: Path) -> None:
    """Refuses a directory that is somebody else's, of which parts would be used and removed.

    Raises:
        InputError: It is no directory, it has other files, or the output is in it.
    """
    if place.resolve() in (output.resolve(), *output.resolve().parents):
        raise InputError(
            f"the output {output} is in the work directory {place}, which is emptied in the end; "
            "wanted it elsewhere"
        )
    if not place.exists():
        return
    if not place.is_dir():
        raise InputError(f"{place} is no directory; wanted one for the work (--work)")
    ours = (_JOB, *_PARTS) if is_work_directory(place / _JOB) else (_JOB,)
    names = sorted(path.name for path in place.iterdir())
    others = [n for n in names if n not in ours and not n.startswith(".nncompress-")]
    if others:
        raise InputError(
            f"{place} holds other files ({', '.join(others[:3])}); wanted a new or empty "
            "directory for the work (--work), or that of the job to continue"
        )


def _remove_parts(place: Path, output: Path) -> None:
    """Removes what a job has made.

    Raises:
        OutputError: It cannot be removed.
    """
    try:
        for path in (place / name for name in _PARTS):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{output} is written, and {place}, which is not needed any more, cannot be removed: "
            f"{error.strerror}; remove it, or give the command again",
            error.errno,
        ) from None


def _encode(
    source: RowSource,
    plan: Plan,
    machine: Machine,
    place: Path,
    report: Callable[[str], None] | None,
    curve: str | os.PathLike | None,
) -> None:
    """Makes the directory of shards, if it is not there yet."""
    if is_table_directory(place / _TABLE):
        return
    if not (place / _MODEL).is_file():
        with open_work(place / _LEARNING, None, plan, machine, {}) as learning:
            model = learn_model(source, plan, machine, report=report, curve=curve, work=learning)
            write_model(place / _MODEL, model)
            learning.finish()
    model, _ = read_model(place / _MODEL)
    encode_rows(model, source, place / _TABLE, EncodingSettings(), machine, work=place / _ENCODING)
