"""Indexes of compressed embeddings."""

from contextlib import suppress

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.index_building import build_index
from nncompress.embedding.index_file import read_index, write_index
from nncompress.errors import InputError
from tests.reliability.fuzzing import Kind


def _table():
    random = np.random.default_rng(0)
    codes = random.integers(5, size=(60, 4))
    return CodeTable.of_codes(codes, random.normal(size=(20, 6)).astype(np.float32))


def seeds(directory):
    paths = [directory / "few.ivf", directory / "many.ivf"]
    for path, lists in zip(paths, (2, 31), strict=True):
        write_index(path, build_index(_table(), lists))
    return paths


def use(path):
    with suppress(InputError):  # the sums would refuse all that follows
        read_index(path, verify=True)
    index, table = read_index(path), _table()
    with suppress(InputError), np.errstate(all="ignore"):  # of other rows
        index.refuse_other(table)
    dim = index.centres.shape[1]
    if dim > 1_000:  # as no index of the table has
        return
    for probe in (1, 5, 100):
        rows = index.candidates(np.ones(dim, np.float32), probe)
        assert ((rows >= 0) & (rows < index.lists.num_rows)).all()


KIND = Kind("ivf", seeds, use)
