"""Processes that train together, played by threads: what MPI and ChainerMN do, in a few lines.

The threads take turns: one goes on while the others wait for what they do together.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nncompress.training.processes import Processes

_TIMEOUT = 60.0


class _World:
    """A place where so many threads meet, each with a value, and leave with all values."""

    def __init__(self, size, turn):
        self._barrier = threading.Barrier(size, timeout=_TIMEOUT)
        self._values = [None] * size
        self._turn = turn

    def exchange(self, rank, value):
        self._values[rank] = value
        self._turn.release()
        try:
            self._barrier.wait()
            values = list(self._values)
            self._barrier.wait()
        finally:
            self._turn.acquire()
        return values

    def close(self):
        """Has those fail who wait here."""
        self._barrier.abort()


class _Done:
    def Test(self):
        return True


class _Comm:
    """The part of an mpi4py communicator that is used."""

    def __init__(self, size, rank, worlds):
        self.size, self.rank = size, rank
        self._worlds = worlds
        self._world = worlds[0]

    def Dup(self):
        comm = _Comm(self.size, self.rank, self._worlds)
        comm._world = self._worlds[1]
        return comm

    def Iallreduce(self, in_place, array, operation=None):
        arrays = np.array(self._world.exchange(self.rank, array.copy()))
        array[...] = arrays.sum(axis=0) if operation is None else arrays.max(axis=0)
        return _Done()

    def Iallgather(self, array, gathered):
        gathered[...] = np.concatenate(self._world.exchange(self.rank, array))
        return _Done()

    def Ibarrier(self):
        self._world.exchange(self.rank, None)
        return _Done()

    def allgather(self, value):
        return self._world.exchange(self.rank, value)

    def bcast(self, value):
        return self._world.exchange(self.rank, value)[0]


class _Communicator:
    """The part of a communicator of ChainerMN's that is used."""

    def __init__(self, comm, machines):
        self.mpi_comm = comm
        self.rank, self.size = comm.rank, comm.size
        neighbours = [rank for rank, where in enumerate(machines) if where == machines[comm.rank]]
        self.inter_rank = machines[comm.rank]
        self.intra_rank, self.intra_size = neighbours.index(comm.rank), len(neighbours)

    def multi_node_mean_grad(self, chain, zero_fill):
        assert zero_fill
        for _, parameter in sorted(chain.namedparams()):
            if parameter.grad is None:
                parameter.grad = parameter.xp.zeros_like(parameter.array)
            grads = self.mpi_comm.allgather(parameter.grad.copy())
            parameter.grad[...] = np.mean(grads, axis=0)


def in_processes(size, function, name="naive", machines=None):
    """Calls ``function(processes)`` in threads that stand for processes; returns what they return.

    ``machines`` has the number of each one's machine; by default they are all on one.
    """
    turn = threading.Lock()
    worlds = _World(size, turn), _World(size, turn)
    machines = machines or [0] * size

    def play(rank):
        comm = _Comm(size, rank, worlds)
        with turn:
            try:
                return function(Processes(_Communicator(comm, machines), name))
            except BaseException:
                for world in worlds:
                    world.close()
                raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(play, range(size)))
