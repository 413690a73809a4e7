"""Archives whose bytes follow from their arrays alone, and what is left where they fail."""

import errno
import gc
import io
import os

import numpy as np
import pytest

from nncompress.formats.npz_writing import write_npz


def test_numpy_reads_it_and_equal_arrays_have_equal_bytes(random, tmp_path):
    arrays = {"b/W": random.normal(size=(3, 4)), "a": np.array("text"), "c": np.array(7)}
    write_npz(tmp_path / "x.npz", arrays)
    write_npz(tmp_path / "y.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
    with np.load(tmp_path / "x.npz", allow_pickle=False) as read:
        assert set(read.files) == set(arrays)
        for name, array in arrays.items():
            assert (read[name] == array).all()


@pytest.mark.parametrize("takes", [0, 100, 5_000, 40_000])
def test_a_full_disk_is_one_error_and_nothing_comes_after(tmp_path, monkeypatch, takes):
    """A half-closed archive would try to write once more when it is collected."""

    class Full(io.FileIO):
        room = takes

        def write(self, data):
            if len(data) > self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= len(data)
            return super().write(data)

    monkeypatch.setattr(io, "open", lambda path, mode: io.BufferedWriter(Full(path, mode)))
    with pytest.raises(OSError, match="No space left"):
        write_npz(tmp_path / "x.npz", {"a": np.zeros(5_000), "b": np.zeros(100)})
    gc.collect()  # pytest makes an error of an exception that is ignored
