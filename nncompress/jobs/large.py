"""Compressing a large table by learning a model on a sample and encoding all rows with it."""

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
from nncompress.jobs.learning import learn_model, sample_size
from nncompress.jobs.merging import merge
from nncompress.machine import Machine
from nncompress.phases import WRITING, phases_of_large_table
from nncompress.plan import Plan
from nncompress.progress import expect, phase
from nncompress.sources.row_source import RowSource
from nncompress.version import __version__

# Tables with more rows, or more bytes in float32, are large.
_MOST_ROWS, _MOST_BYTES = 1 << 22, 8 << 30
_MODEL, _TABLE, _LEARNING, _ENCODING = "model.nnc", "table.nnc", "learning", "encoding"
_JOB = "job"
_PARTS = (_MODEL, _TABLE, _LEARNING, _ENCODING)  # besides the job
_MERGED = "merged"


def is_large(num_rows: int, dim: int) -> bool:
    """Tells whether a table of N rows and D columns is compressed by way of a sample."""
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
    """Learns a model, encodes all rows with it, and writes them to one file.

    Finished work is kept in a directory, from which repeating the call continues.

    Args:
        source: The table, ``(N, D)``.
        output: The ``.nnc`` file to write.
        plan: The target for the table.
        machine: The machine to compute on.
        report: A function that is called with a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The directory; None for ``OUTPUT.work``, beside the output.
        approve: A function that checks the encoded rows before they are written to the output,
            and raises ``NotGoodEnough`` to prevent that.

    Raises:
        NotGoodEnough: The rows are not approved. Finished work stays in the directory.
        InputError: An argument cannot be used, or there is no output.
        OutputError: Something cannot be written.
        Diverged: A loss or a parameter is not finite.
    """
    if output is None:
        raise InputError(
            f"{source.name} has {source.num_rows:,} rows; so many can only be compressed into a "
            "file, so give the name of an output"
        )
    if plan.refinement.seconds is not None:
        raise InputError(
            f"a time budget (--time-budget) was given for {source.num_rows:,} rows, which are too "
            "many for one; leave it out (the time for encoding is set by nncompress encode "
            "--effort)"
        )
    output = Path(output)
    place = Path(f"{output}.work" if work is None else work)
    _check_place(place, output)
    if report is not None:
        report(f"{source.num_rows:,} rows: learning a model on a sample; work is kept in {place}")
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
            if merged is not None:  # some of the parts may have been removed
                job.discard(_MERGED)
                _remove_parts(place, output)
            _encode(source, plan, machine, place, report, curve)
            if approve is not None:
                _require(approve, place)
            with phase(WRITING):
                merge([place / _TABLE], output)
            job.save(_MERGED, {}, ended)
        # The job's description goes last: it identifies the parts as this job's.
        _remove_parts(place, output)
        job.finish()
    with suppress(OSError):
        place.rmdir()
    return CompressedEmbedding.load(output)


def _require(approve: Callable[[CompressedEmbedding], None], place: Path) -> None:
    """Has the encoded rows approved; the error says where they are kept."""
    try:
        approve(CompressedEmbedding.load(place / _TABLE))
    except NotGoodEnough as error:
        raise NotGoodEnough(
            f"{error}; the finished work stays in {place}: run the command again with other "
            "requirements, or remove it to try another size"
        ) from None


def _check_place(place: Path, output: Path) -> None:
    """Refuses a directory that is not this job's, since its parts would be used and removed.

    Raises:
        InputError: It is not a directory, it has other files, or the output is inside it.
    """
    if place.resolve() in (output.resolve(), *output.resolve().parents):
        raise InputError(
            f"the output {output} is inside the work directory {place}, which is emptied at the "
            "end; write it elsewhere"
        )
    if not place.exists():
        return
    if not place.is_dir():
        raise InputError(f"{place} is not a directory; wanted one for the work (--work)")
    ours = (_JOB, *_PARTS) if is_work_directory(place / _JOB) else (_JOB,)
    names = sorted(path.name for path in place.iterdir())
    others = [n for n in names if n not in ours and not n.startswith(".nncompress-")]
    if others:
        raise InputError(
            f"{place} contains other files ({', '.join(others[:3])}); wanted a new or empty "
            "work directory (--work), or that of the job to continue"
        )


def _remove_parts(place: Path, output: Path) -> None:
    """Removes the files of a job.

    Raises:
        OutputError: They cannot be removed.
    """
    try:
        for path in (place / name for name in _PARTS):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{output} is written, but {place}, which is no longer needed, cannot be removed: "
            f"{error.strerror}; remove it, or run the command again",
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
    """Writes the directory of shards, unless it exists already."""
    if is_table_directory(place / _TABLE):
        return
    if not (place / _MODEL).is_file():
        shape = source.num_rows, source.dim
        expect(lambda: phases_of_large_table(shape, plan, machine, sample_size(*shape)))
        with open_work(place / _LEARNING, None, plan, machine, {}) as learning:
            model = learn_model(source, plan, machine, report=report, curve=curve, work=learning)
            write_model(place / _MODEL, model)
            learning.finish()
    model, _ = read_model(place / _MODEL)
    encode_rows(model, source, place / _TABLE, EncodingSettings(), machine, work=place / _ENCODING)
