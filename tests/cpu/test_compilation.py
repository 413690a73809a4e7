import threading

import numba
import pytest

from nncompress import progress
from nncompress.cpu import compilation

LINE = "Compiling kernels for their first use (up to twenty seconds, once)\n"


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    monkeypatch.setattr(progress, "_is_told", False)
    monkeypatch.setattr(compilation.cache, "DIRECTORY", "kept")


def new_kernel():
    @numba.njit
    def inner(x):
        return x + 1

    @numba.njit
    def outer(x):
        return inner(x) + 1

    return outer


def test_a_command_says_once_that_it_compiles_in_whichever_thread(capsys):
    with progress.overall():
        threads = [threading.Thread(target=new_kernel(), args=(1,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", LINE)


def test_lookups_in_python_say_nothing(capsys):
    assert new_kernel()(1) == 3
    assert capsys.readouterr() == ("", "")


def test_training_in_python_says_so_if_no_kernels_are_kept(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compilation.cache, "DIRECTORY", str(tmp_path))
    compilation.announce()
    compilation.announce()
    assert capsys.readouterr().err == LINE
    monkeypatch.setattr(progress, "_is_told", False)
    (tmp_path / "kernel.nbi").touch()
    compilation.announce()
    assert capsys.readouterr().err == ""
