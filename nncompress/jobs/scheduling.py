"""Encoding blocks on the workers of Dask's distributed scheduler.

Each block is a task whose result depends only on the block, so a task whose worker died can be
given to another, and the results are the same bytes as in one process.
"""

import logging
import operator
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nncompress.embedding.model import Model
from nncompress.embedding.model_file import digest_of_model
from nncompress.errors import InputError
from nncompress.jobs.block_encoder import BlockEncoder, EncodedBlock
from nncompress.jobs.blocks import Block
from nncompress.jobs.pairwise import PairwiseSum
from nncompress.machine import Machine
from nncompress.missing import brought_by
from nncompress.refinement.encoding import EFFORTS, BlockSums
from nncompress.sources.open_rows import open_rows
from nncompress.sources.row_source import RowSource

if TYPE_CHECKING:
    from distributed import Client, Future

_LOCAL = "local:"
_SECONDS = 20  # until a scheduler is considered unreachable
_RETRIES = 3
# A terminal also sends Ctrl-C to the workers, but this process is the one to end them.
_LEAVE_INTERRUPTIONS = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
_AHEAD = 3  # blocks submitted for each thread of a worker


@contextmanager
def workers(
    address: str | None,
    table: Mapping[str, object],
    effort: str,
    *,
    gpu: int = -1,
    threads: int | None = None,
) -> Iterator["Workers | None"]:
    """Yields a scheduler's workers.

    Args:
        address: The scheduler's address; ``local:P`` for P processes on this machine while the
            block runs; None for no scheduler, in which case None is yielded.
        table: The arguments of ``open_rows``; workers open the table themselves.
        effort: The effort of the search for codes, one of ``refinement.encoding.EFFORTS``.
        gpu: The requested GPU; -1 for none.
        threads: The requested number of threads; None for none.

    Raises:
        InputError: Dask is not installed, there is no scheduler, or a GPU or threads were
            requested, which workers do not use.
    """
    if address is None:
        yield None
        return
    if gpu >= 0 or threads is not None:
        asked = f"{threads} threads (--threads)" if gpu < 0 else f"GPU {gpu} (--gpu)"
        raise InputError(
            f"{asked} and a scheduler (--scheduler) were given; workers encode a block with one "
            "CPU thread, so leave one of them out"
        )
    with _client_of(address) as client, open_rows(**table) as source:
        yield Workers(client, Job(dict(table), source.identity(), effort))


@dataclass(frozen=True)
class Job:
    """The settings shared by all tasks of a job, besides the model.

    Attributes:
        table: The arguments of ``open_rows``.
        identity: The table's ``identity``, which must be the same everywhere.
        effort: The effort of the search for codes.
    """

    table: dict[str, object]
    identity: dict[str, object]
    effort: str


class Workers:
    """The workers of a scheduler.

    Args:
        client: Dask's client.
        job: The job to do.
    """

    def __init__(self, client: "Client", job: Job) -> None:
        self._client, self._job = client, job

    def encode(
        self, model: Model, blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, EncodedBlock]]:
        """Encodes blocks on workers, and yields them in the order in which they finish.

        Raises:
            InputError: The workers failed, or cannot use the table.
        """
        with brought_by("scale"):
            from distributed import as_completed

        with self._shared(model) as (shared, key):
            waiting = iter(blocks)
            given: dict[str, Block] = {}
            pending = as_completed(loop=self._client.loop, with_results=True)

            def give(count: int) -> None:
                for _, block in zip(range(count), waiting, strict=False):
                    future = self._submit(encode_block, shared, key, block)
                    given[future.key] = block
                    pending.add(future)

            def give_enough() -> None:
                """Submits blocks for all current threads."""
                threads = sum(self._client.nthreads().values())
                give(max(1, _AHEAD * threads - len(given)))

            if not self._client.nthreads():
                warnings.warn(
                    "the scheduler has no workers yet; encoding starts as soon as there are some",
                    stacklevel=2,
                )
            give_enough()
            for future, encoded in pending:
                block = given.pop(future.key)
                future.release()
                give_enough()
                yield block, encoded

    def add_up(self, model: Model, blocks: Sequence[Block]) -> PairwiseSum[BlockSums]:
        """Encodes blocks on workers and adds up their sums there; see ``refining.Summing``.

        Raises:
            InputError: The workers failed, or cannot use the table.
        """
        with self._shared(model) as (shared, key):
            futures: PairwiseSum[_Future] = PairwiseSum()
            kept: list[Future] = []  # a released future would be lost before it is added
            for block in blocks:
                future = self._submit(sums_of_block, shared, key, block)
                futures.add(_Future(self._client, future, kept))
            total: PairwiseSum[BlockSums] = PairwiseSum()
            for level, each in futures.parts:
                total.add(each.future.result(), level)
            return total

    @contextmanager
    def _shared(self, model: Model) -> Iterator[tuple["Future", str]]:
        """Yields a task whose result all others need, and the key by which workers know it."""
        # A task instead of scattered data, so nothing is lost when a worker dies.
        shared = self._client.submit(_pair, model, self._job, pure=False)
        try:
            yield shared, f"{digest_of_model(model)}-{self._job}"
        except Exception as error:
            theirs = type(error).__module__.partition(".")[0] in ("distributed", "asyncio")
            if not theirs and not isinstance(error, (OSError, TimeoutError, CancelledError)):
                raise
            raise InputError(
                f"the scheduler's workers failed ({type(error).__name__}: {error}); finished work "
                "is kept, so run the command again when workers are available"
            ) from None
        finally:
            self._client.cancel([shared])

    def _submit(self, task: Callable, shared: "Future", key: str, block: Block) -> "Future":
        return self._client.submit(
            task, shared, key, block.first, block.last, pure=False, retries=_RETRIES
        )


@contextmanager
def _client_of(address: str) -> Iterator["Client"]:
    with brought_by("scale", "a scheduler (--scheduler)"):
        from distributed import Client, LocalCluster
    with ExitStack() as stack:
        where: object = address
        if address.startswith(_LOCAL):
            count = address.removeprefix(_LOCAL)
            if not (count.isascii() and count.isdigit() and 1 <= int(count) <= 1_024):
                raise InputError(f"the scheduler is {address!r}; wanted local:1 to local:1024")
            where = stack.enter_context(LocalCluster(
                n_workers=int(count), threads_per_worker=1, dashboard_address=":0",
                # Failures show in the results; the shutdown does not concern the user.
                silence_logs=logging.CRITICAL, preload=[_LEAVE_INTERRUPTIONS],
            ))  # fmt: skip
        try:
            client = stack.enter_context(Client(where, timeout=_SECONDS, set_as_default=False))
        except (OSError, ValueError) as error:  # a timeout is an OSError
            raise InputError(
                f"no scheduler found at {address} ({error or 'no answer'}); wanted the address of "
                "a running one (dask scheduler), or local:PROCESSES"
            ) from None
        yield client


class _Future:
    """A future result, which is added to others on the workers."""

    def __init__(self, client: "Client", future: "Future", kept: list["Future"]) -> None:
        self._client, self.future, self._kept = client, future, kept
        kept.append(future)

    def __add__(self, other: "_Future") -> "_Future":
        future = self._client.submit(
            operator.add, self.future, other.future, pure=False, retries=_RETRIES
        )
        return _Future(self._client, future, self._kept)


def _pair(model: Model, job: Job) -> tuple[Model, Job]:
    return model, job


def encode_block(shared: tuple[Model, Job], key: str, first: int, last: int) -> EncodedBlock:
    """Encodes a block on a worker."""
    encoder, source = _opened_for(shared, key)
    return encoder.encode(source.read(first, last), first)


def sums_of_block(shared: tuple[Model, Job], key: str, first: int, last: int) -> BlockSums:
    """Returns a block's contribution to the codebook's least squares, on a worker."""
    encoder, source = _opened_for(shared, key)
    return encoder.sums_of(source.read(first, last), first)


_opened = threading.local()


def _opened_for(shared: tuple[Model, Job], key: str) -> tuple[BlockEncoder, RowSource]:
    """Returns the encoder and the table of this worker's thread, opened once."""
    model, job = shared
    if getattr(_opened, "key", None) != key:
        if hasattr(_opened, "stack"):
            _opened.stack.close()
        _opened.key, _opened.stack = None, ExitStack()
        source = _opened.stack.enter_context(open_rows(**job.table))
        if source.identity() != job.identity:
            raise InputError(
                f"a worker sees a different table than this machine at {source.name}; wanted the "
                "same files under the same names everywhere"
            )
        _opened.parts = BlockEncoder(model, EFFORTS[job.effort], Machine(threads=1)), source
        _opened.key = key
    return _opened.parts
