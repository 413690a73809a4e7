"""The numbers that an MPI launcher gives its processes, read without MPI."""

import os

# Variables of MPICH and its relatives (Intel MPI, Slurm's srun), of Open MPI, and of MVAPICH.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def launched_size() -> int:
    """Returns the number of processes that the launcher has started; 1 without a launcher."""
    return _number(_SIZES, 1)


def launched_rank() -> int:
    """Returns this process's number among them, from 0."""
    return _number(_RANKS, 0)


def _number(names: tuple[str, ...], otherwise: int) -> int:
    given = (os.environ.get(name, "") for name in names)
    return next((int(text) for text in given if text.isdecimal()), otherwise)
