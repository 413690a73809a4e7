"""What `pip install .` brings has to be enough to use a compressed embedding."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.embedding.engine import engine
from tests.embedding.residual_tables import random_table

ROOT = Path(__file__).resolve().parents[1]
# As if nothing but NumPy and tqdm were installed.
WITHOUT = """
import sys

class Absent:
    names = ("numba", "llvmlite", "chainer", "cupy", "matplotlib", "scipy", "threadpoolctl",
             "logzero", "gensim", "torch", "faiss", "safetensors")

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(params=["codes", "residuals"])
def path(request, tmp_path, random):
    words = [f"w{i}" for i in range(500)]
    if request.param == "residuals":
        table = random_table(random, True, rows=500, block_rows=1)
        CompressedEmbedding.of_table(table, words).save(tmp_path / "x.nnc")
        return tmp_path / "x.nnc"
    codes = random.integers(16, size=(500, 8))
    codebook = random.normal(size=(128, 20)).astype(np.float32)
    CompressedEmbedding.from_codes(codes, codebook, words).save(tmp_path / "x.nnc")
    return tmp_path / "x.nnc"


def run(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_searches_by_an_index_need_numpy_alone(path):
    index = CompressedEmbedding.load(path).build_index()
    script = f"""{WITHOUT}
from nncompress import CompressedEmbedding
emb = CompressedEmbedding.load({str(path)!r})
assert emb.most_similar("w3", probe={index.num_lists}) == emb.most_similar("w3")
print(*(word for word, _ in emb.most_similar("w3", probe=2)))
"""
    result = run("-c", script)
    assert result.returncode == 0, result.stderr
    expected = CompressedEmbedding.load(path).most_similar("w3", probe=2)
    assert result.stdout.split() == [word for word, _ in expected]


def test_lookups_need_numpy_alone(path):
    script = f"""{WITHOUT}
from nncompress import CompressedEmbedding
from nncompress.embedding.engine import engine
emb = CompressedEmbedding.load({str(path)!r}, verify=True)
print(emb["w3"].tobytes().hex(), emb.most_similar("w3"))
engine._spent = 1e9
print(emb["w4"].tobytes().hex(), engine._choice)
assert len(emb.vectors_for_all(["w7", "w3"])) == 2
"""
    result = run("-c", script)
    assert result.stderr == ""
    engine.use("numpy")
    emb = CompressedEmbedding.load(path)
    expected = f"{emb['w3'].tobytes().hex()} {emb.most_similar('w3')}\n"
    expected += f"{emb['w4'].tobytes().hex()} numpy\n"
    engine.use("auto")
    assert result.stdout == expected


def test_the_command_looks_into_files_with_numpy_alone(path, tmp_path):
    (tmp_path / "m.codes").write_text("0 1\n1 0\n")
    np.save(tmp_path / "m.npy", np.eye(4))
    script = f"{WITHOUT}\nfrom nncompress.cli.entry import run\nrun()"
    for arguments in (
        ["info", path, "--verify"],
        ["import", tmp_path / "m.codes", tmp_path / "m.npy", tmp_path / "m.nnc"],
        ["similar", path, "w1"],
        ["analogy", path, "w1", "w2", "w3"],
        ["export", path, tmp_path / "x.txt", "--to", "glove"],
        ["export", path, tmp_path / "x.npy", "--to", "npy"],
        ["evaluate", tmp_path / "x.npy", path],
    ):
        result = run("-c", script, *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout
    result = run("-c", script, "compress", tmp_path / "x.npy", tmp_path / "y.nnc")
    assert result.returncode == 2
    assert "pip install 'chainer-nncompress[train]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "y.nnc").exists()


def test_importing_and_opening_loads_neither_numba_nor_chainer(path):
    result = run(
        "-c",
        f"import nncompress, sys; nncompress.CompressedEmbedding.load({str(path)!r})['w1']; "
        "print([name for name in ('numba', 'chainer', 'cupy', 'matplotlib', 'scipy') "
        "if name in sys.modules])",
    )
    assert result.stdout == "[]\n"
