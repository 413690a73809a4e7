"""Encoding blocks by the workers of Dask's distributed scheduler.

A block is a task: what it comes to depends on the block alone, so that a task whose worker died is
given to another, and all comes to the same bytes as in one process.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nncompress.embedding.model import Model
from nncompress.embedding.model_file import digest_of_model
from nncompress.errors import InputError
from nncompress.jobs.block_encoder import BlockEncoder, EncodedBlock
from nncompress.jobs.blocks import Block
from nncompress.jobs.encoding import EncodingSettings, Runner
from nncompress.machine import Machine
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources.open_rows import open_rows
from nncompress.sources.row_source import RowSource

if TYPE_CHECKING:
    from distributed import Client

_LOCAL = "local:"
_SECONDS = 20  # until a scheduler is taken to be away
_RETRIES = 3
_AHEAD = 3  # blocks that are given out for each thread of a worker


@contextmanager
def workers(
    address: str | None,
    model: Model,
    table: Mapping[str, object],
    settings: EncodingSettings,
    machine: Machine,
) -> Iterator[Runner | None]:
    """Yields what has a scheduler's workers encode blocks.

    Args:
        address: The scheduler's address; ``local:P`` for P processes on this machine, while the
            block runs; None: there is none, and None is yielded.
        model: What rows are encoded by.
        table: The arguments of ``open_rows``; workers open the table themselves.
        settings: How rows are encoded.
        machine: The machine of a job without workers.

    Raises:
        InputError: Dask is not installed, there is no scheduler, or a GPU was asked for.
    """
    if address is None:
        yield None
        return
    if machine.gpu >= 0:
        raise InputError(
            f"GPU {machine.gpu} (--gpu) and a scheduler (--scheduler) were given; workers encode "
            "on their CPUs, so leave one of them out"
        )
    with _client_of(address) as client, open_rows(**table) as source:
        yield lambda blocks: _run(client, model, table, source.identity(), settings, blocks)


@contextmanager
def _client_of(address: str) -> Iterator["Client"]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError(
            "a scheduler (--scheduler) is Dask's, which is not installed; pip install "
            '"chainer-nncompress[scale]"'
        ) from None
    with ExitStack() as stack:
        where: object = address
        if address.startswith(_LOCAL):
            count = address.removeprefix(_LOCAL)
            if not (count.isascii() and count.isdigit() and 1 <= int(count) <= 1_024):
                raise InputError(f"the scheduler is {address!r}; wanted local:1 to local:1024")
            where = stack.enter_context(
                LocalCluster(n_workers=int(count), threads_per_worker=1, dashboard_address=None)
            )
        try:
            client = stack.enter_context(Client(where, timeout=_SECONDS, set_as_default=False))
        except (OSError, ValueError) as error:  # a timeout is an OSError
            raise InputError(
                f"there is no scheduler at {address} ({error or 'no answer'}); wanted the address "
                "of a running one (dask scheduler), or local:PROCESSES"
            ) from None
        yield client


def _run(
    client: "Client",
    model: Model,
    table: Mapping[str, object],
    identity: dict[str, object],
    settings: EncodingSettings,
    blocks: Iterable[Block],
) -> Iterator[tuple[Block, EncodedBlock]]:
    """Has workers encode blocks, which come as they are done."""
    from distributed import as_completed

    token = f"{digest_of_model(model)[:16]}-{settings.effort}"
    # A task, and not data that are scattered: a worker that dies takes nothing with it.
    shared = client.submit(_job, model, dict(table), identity, settings.effort, pure=False)
    waiting = iter(blocks)
    given: dict[str, Block] = {}
    pending = as_completed(with_results=True, raise_errors=True)

    def give(count: int) -> None:
        for _, block in zip(range(count), waiting, strict=False):
            future = client.submit(
                _encode, shared, token, block.first, block.last, pure=False, retries=_RETRIES
            )
            given[future.key] = block
            pending.add(future)

    try:
        give(_AHEAD * max(1, sum(client.nthreads().values())))
        for future, encoded in pending:
            block = given.pop(future.key)
            future.release()
            give(1)
            yield block, encoded
    except InputError:
        raise
    except Exception as error:  # Dask's are of many kinds
        name = type(error).__name__
        if name not in ("KilledWorker", "CommClosedError", "TimeoutError", "CancelledError",
                        "FutureCancelledError", "OSError"):  # fmt: skip
            raise
        raise InputError(
            f"the scheduler's workers gave up ({name}: {error}); blocks that are done stay, so "
            "give the command again when workers are there"
        ) from None
    finally:
        client.cancel([shared])


def _job(
    model: Model, table: dict[str, object], identity: dict[str, object], effort: str
) -> tuple[Model, dict[str, object], dict[str, object], str]:
    return model, table, identity, effort


_opened = threading.local()


def _encode(
    job: tuple[Model, dict[str, object], dict[str, object], str],
    token: str,
    first: int,
    last: int,
) -> EncodedBlock:
    """Encodes a block on a worker, each of whose threads keeps its encoder and its table."""
    model, table, identity, effort = job
    known: tuple[tuple[str, str], BlockEncoder, RowSource] | None
    known = getattr(_opened, "job", None)
    if known is None or known[0] != (token, str(identity)):
        stack = ExitStack()
        source = stack.enter_context(open_rows(**table))
        if source.identity() != identity:
            raise InputError(
                f"a worker sees another table than this machine at {source.name}; wanted the same "
                "files under the same names everywhere"
            )
        encoder = BlockEncoder(model, EFFORTS[effort], Machine(threads=1))
        if known is not None:
            _opened.stack.close()
        known = (token, str(identity)), encoder, source
        _opened.job, _opened.stack = known, stack
    _, encoder, source = known
    return encoder.encode(source.read(first, last), first)
