"""The processes that train together over ChainerMN: their rows, and what they share.

Source: Akiba et al., "ChainerMN: Scalable Distributed Deep Learning Framework", 2017 (data
parallel training with synchronous sums of gradients).
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from nncompress.chainer_support.compatibility import chainer, import_chainermn
from nncompress.errors import InputError
from nncompress.machine import usable_cores
from nncompress.missing import install_line
from nncompress.training.launched import launched_size
from nncompress.training.settings import COMMUNICATORS
from nncompress.training.stops import Stops

T = TypeVar("T")

# A process that waits for others polls, and soon sleeps between polls, because processes that
# share a core need it.
_EAGER, _PAUSE = 300e-6, 20e-6

# Seconds after which a launcher has surely forwarded a process's output.
_SPOKEN = 0.5


class EndedElsewhereError(Exception):
    """The job cannot continue, for a reason that another process reports."""


class Processes:
    """The processes that train together, seen from one of them.

    A job with a single process works the same, without communication. All processes must call the
    methods in the same order, except ``part`` and ``gather_ends``.

    Args:
        communicator: A ChainerMN communicator over all processes; None: there is one process.
        name: The name that the user gave for the communicator; None: none was given.

    Attributes:
        name: As given.
        rank: Number of this process, from 0.
        size: The number of processes.
        intra_rank: Number of this process among those on its machine, from 0.
        threads: This process's share of the machine's usable cores; None: all.
    """

    def __init__(self, communicator: Any = None, name: str | None = None) -> None:
        self.name = name
        self.rank, self.size, self.intra_rank = 0, 1, 0
        self.threads: int | None = None
        self._communicator = communicator
        self._on_gpu = False
        if communicator is not None and communicator.size > 1:
            self.rank, self.size = communicator.rank, communicator.size
            self.intra_rank = communicator.intra_rank
            self._comm = communicator.mpi_comm
            self._ends = self._comm.Dup()
            self.threads = self._share_of_cores()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def connect(self, gpu: int) -> None:
        """Gets ready to exchange gradients.

        On a GPU, ChainerMN's communicator of that name exchanges them. On a CPU, where ChainerMN
        only has ``naive``, ``flat`` sums one flat buffer, as the kernels do under both names.

        Args:
            gpu: Number of the first process's GPU on each machine; -1 is the CPU.

        Raises:
            InputError: The communicator does not work on this machine.
        """
        if self.name == "pure_nccl" and gpu < 0:
            raise InputError(
                "the communicator pure_nccl uses NCCL, which is only for GPUs; name a GPU (-g 0), "
                "or choose naive or flat"
            )
        if self.name is None or gpu < 0:
            return
        self._on_gpu = True
        try:
            self._communicator = import_chainermn().create_communicator(self.name)
        except (ImportError, RuntimeError) as error:
            raise InputError(f"the communicator {self.name} does not work here: {error}") from None

    def gpu(self, first: int) -> int:
        """Returns the number of this process's GPU; the processes on a machine take one each.

        Args:
            first: The number that the user gave; -1 is the CPU.
        """
        return first if first < 0 else first + self.intra_rank

    def part(self, num_rows: int) -> slice:
        """Returns this process's rows of a batch, which are consecutive; there may be none."""
        return slice(num_rows * self.rank // self.size, num_rows * (self.rank + 1) // self.size)

    def add_up(self, array: np.ndarray) -> None:
        """Replaces an array by the sum over all processes, with the same bits in each.

        Args:
            array: C-contiguous, with the same shape and type in all processes.
        """
        if self.size > 1:
            from mpi4py import MPI

            self._wait(self._comm.Iallreduce(MPI.IN_PLACE, array))

    def highest(self, number: int) -> int:
        """Returns the highest number of any process."""
        if self.size == 1:
            return number
        from mpi4py import MPI

        array = np.array([number], dtype=np.int64)
        self._wait(self._comm.Iallreduce(MPI.IN_PLACE, array, MPI.MAX))
        return int(array[0])

    def mean_gradients(self, chain: chainer.Chain) -> None:
        """Replaces gradients by their means over all processes; None counts as 0.

        Args:
            chain: The chain whose parameters have the gradients.
        """
        if self.name == "flat" and not self._on_gpu:  # ChainerMN's is only for GPUs
            self._mean_flat_gradients(chain)
        else:
            self._communicator.multi_node_mean_grad(chain, zero_fill=True)

    def mean_observation(self, observation: Mapping[str, Any], share: float) -> dict[str, float]:
        """Returns the mean of the observations of all processes.

        Args:
            observation: Numbers by name, for this process's part of a batch.
            share: This part as a fraction of the batch, 0 to 1.
        """
        mean: dict[str, float] = {}
        own = share, {name: float(value) for name, value in observation.items()}
        for other_share, numbers in self._all_gather(own):
            for name, value in numbers.items():
                mean[name] = mean.get(name, 0.0) + other_share * value
        return mean

    def all_stops(self, stops: Stops) -> Stops:
        """Returns the iterations at which updates must end for any process."""
        for other in self._all_gather(stops):
            stops |= other
        return stops

    def first(self, function: Callable[[], T]) -> T:
        """Calls a function in the first process only, and returns its result in all of them.

        Raises:
            EndedElsewhereError: The function failed there.
        """
        if self.size == 1:
            return function()
        outcome = None
        try:
            if self.is_first:
                outcome = (function(),)
        finally:
            self._wait(self._comm.Ibarrier())
            outcome = self._comm.bcast(outcome)
        if outcome is None:
            raise EndedElsewhereError
        return outcome[0]

    def together(self, function: Callable[[], T]) -> T:
        """Calls a function in every process, and fails in all of them if it fails in any.

        The function must not call methods of this object.

        Raises:
            EndedElsewhereError: The function failed in another process.
        """
        done = False
        try:
            result = function()
            done = True
        finally:
            all_done = all(self._all_gather(done))
        if not all_done:
            raise EndedElsewhereError
        return result

    def require_same(self, value: object) -> None:
        """Refuses to continue if processes would do different things.

        Args:
            value: A description of this process's work.

        Raises:
            InputError: Another process has a different value.
        """
        values = self._all_gather(value)
        if any(other != value for other in values):
            raise InputError(
                "the processes were started with different options, or see different tables; "
                "wanted the same command and the same file for all"
            )

    def gather_ends(self, status: int, seconds: float) -> list[int] | None:
        """Waits until all other processes have failed too.

        Args:
            status: The exit status of this process; 0: another process reports the reason.
            seconds: How long to wait.

        Returns:
            The statuses of all processes; None: some are still running.
        """
        statuses = np.zeros(self.size, dtype=np.int32)
        request = self._ends.Iallgather(np.array([status], dtype=np.int32), statuses)
        return statuses.tolist() if self._wait(request, seconds) else None

    def abort(self, status: int) -> None:
        """Ends all processes, wherever they are, once the launcher has forwarded their output."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        time.sleep(_SPOKEN)
        self._comm.Abort(status)

    def leave(self) -> None:
        """Tells MPI that this process is about to end, and waits until all have done so."""
        from mpi4py import MPI

        MPI.Finalize()

    def _mean_flat_gradients(self, chain: chainer.Chain) -> None:
        parameters = [parameter for _, parameter in sorted(chain.namedparams())]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = np.zeros_like(parameter.array)
        flat = np.concatenate([parameter.grad.ravel() for parameter in parameters])
        self.add_up(flat)
        flat /= self.size
        place = 0
        for parameter in parameters:
            parameter.grad[...] = flat[place : place + parameter.size].reshape(parameter.shape)
            place += parameter.size

    def _share_of_cores(self) -> int | None:
        """Returns this process's number of usable cores.

        A core on which several processes of this machine may run is shared by them equally; if the
        launcher has bound each process to cores of its own, it has all of these.
        """
        if not hasattr(os, "sched_getaffinity"):
            return max(1, usable_cores() // self._communicator.intra_size)
        own = os.sched_getaffinity(0)
        place = self._communicator.inter_rank
        others = [cores for where, cores in self._all_gather((place, own)) if where == place]
        share = sum(1 / sum(core in cores for cores in others) for core in own) / len(own)
        return max(1, int(usable_cores() * share + 1e-6))

    def _all_gather(self, value: T) -> list[T]:
        """Returns the values of all processes, by rank."""
        if self.size == 1:
            return [value]
        self._wait(self._comm.Ibarrier())
        return self._comm.allgather(value)

    def _wait(self, request: Any, seconds: float = np.inf) -> bool:
        """Waits for a joint operation; tells whether it finished in that time.

        Meanwhile Python handles signals, which it cannot do within MPI.
        """
        started = time.perf_counter()
        while not request.Test():
            elapsed = time.perf_counter() - started
            if elapsed > seconds:
                return False
            if elapsed > _EAGER:
                time.sleep(_PAUSE)
            elif hasattr(os, "sched_yield"):
                os.sched_yield()
        return True


ALONE = Processes()


def open_processes(name: str | None) -> Processes:
    """Finds the processes that ``mpiexec`` has started together with this one.

    Args:
        name: One of ``COMMUNICATORS``; None: the user wants one process.

    Raises:
        InputError: mpi4py is missing, or several processes were started and cannot work together.
    """
    launched = launched_size()
    if name is None:
        if launched > 1:
            raise InputError(
                f"{launched} processes were started but no communicator is named, so each would "
                f"train the same model; add --communicator ({', '.join(COMMUNICATORS)})"
            )
        return ALONE
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library
        raise InputError(
            f"--communicator needs mpi4py and an MPI library ({error}); the extra 'mpi' brings "
            f"mpi4py: {install_line('mpi')}"
        ) from None
    if launched > 1 and MPI.COMM_WORLD.size == 1:
        library = " ".join(MPI.Get_library_version().split()[:3])
        raise InputError(
            f"{launched} processes were started, but mpi4py's MPI ({library}) sees only one each; "
            "start them with that library's own mpiexec"
        )
    return Processes(import_chainermn().create_communicator("naive"), name)
