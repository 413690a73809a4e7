"""What `pip install .` brings has to be enough to use a compressed embedding."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.embedding.engine import engine
from nncompress.missing import install_line

ROOT = Path(__file__).resolve().parents[1]
# As if nothing but NumPy and tqdm were installed.
WITHOUT = """
import importlib.metadata
import sys

class Absent:
    names = ("numba", "llvmlite", "chainer", "cupy", "matplotlib", "scipy", "threadpoolctl",
             "logzero", "gensim", "torch", "faiss", "safetensors", "transformers", "tokenizers",
             "sentence_transformers", "model2vec", "pyarrow", "zarr", "fsspec", "distributed",
             "mpi4py", "sklearn", "ot", "rich", "shtab")

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def version(name, version=importlib.metadata.version):
    if name in Absent.names:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

sys.meta_path.insert(0, Absent())
importlib.metadata.version = version
"""


@pytest.fixture(params=["codes", "residuals"])
def path(request, tmp_path, random):
    words = [f"w{i}" for i in range(500)]
    if request.param == "residuals":
        pytest.importorskip("numba")  # which makes the table
        from tests.embedding.residual_tables import random_table

        table = random_table(random, True, rows=500, block_rows=1)
        CompressedEmbedding.of_table(table, words).save(tmp_path / "x.nnc")
        return tmp_path / "x.nnc"
    codes = random.integers(16, size=(500, 8))
    codebook = random.normal(size=(128, 20)).astype(np.float32)
    CompressedEmbedding.from_codes(codes, codebook, words).save(tmp_path / "x.nnc")
    return tmp_path / "x.nnc"


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_searches_by_an_index_need_numpy_alone(path):
    pytest.importorskip("numba")  # which builds the index
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
        assert result.returncode == 0, result.stderr
        assert result.stdout


def test_commands_that_need_more_name_the_extra_and_write_nothing(tmp_path):
    emb = CompressedEmbedding.from_codes(np.eye(3, 2, dtype=int), np.eye(4), ["a", "b", "c"])
    emb.save(tmp_path / "x.nnc")
    np.save(tmp_path / "x.npy", np.eye(3, 4))
    (tmp_path / "y.zarr").mkdir()
    before = sorted(tmp_path.rglob("*"))
    commands = {
        "compress x.npy y.nnc": "compress",
        "compress x.npy y.nnc --dry-run": "compress",
        "index x.nnc": "compress",
        "train --M 2 --K 2 --input-matrix x.npy": "train",
        "quantize -M 2 -K 2 --matrix x.npy --train": "train",
        "export x.nnc z --to gensim": "gensim",
        "evaluate x.npy x.nnc --page x.html": "plot",
        "evaluate y.zarr x.nnc": "scale",
    }
    script = f"""{WITHOUT}
from nncompress import missing
from nncompress.cli.main import main
missing._is_installed = lambda: True
for line in sys.argv[1:]:
    try:
        main(line.split())
    except ImportError as error:
        print(error)
"""
    result = run("-c", script, *commands, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for line, (command, extra) in zip(result.stdout.splitlines(), commands.items(), strict=True):
        assert line.endswith(f"brings it: {install_line(extra)}"), command
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("script", ["bin/quantize_embed.py", "train_comp.py", "infer_comp.py"])
def test_scripts_tell_their_options_with_numpy_alone(script):
    start = f"{WITHOUT}\nimport runpy\nsys.path.insert(0, {str(ROOT)!r})"
    start += f"\nrunpy.run_path({str(ROOT / script)!r}, run_name='__main__')"
    result = run("-c", start, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage:")


@pytest.mark.parametrize("script", ["bin/quantize_embed.py", "train_comp.py", "-m nncompress"])
def test_programs_in_a_clone_say_in_one_line_that_nothing_is_installed(script):
    # Without the site's packages there is not even NumPy.
    result = run("-S", *script.split(), "--help", cwd=ROOT)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "is not installed; install what commands need: pip install" in result.stderr


def test_importing_and_opening_loads_neither_numba_nor_chainer(path):
    result = run(
        "-c",
        f"import nncompress, sys; nncompress.CompressedEmbedding.load({str(path)!r})['w1']; "
        "print([name for name in ('numba', 'chainer', 'cupy', 'matplotlib', 'scipy') "
        "if name in sys.modules])",
    )
    assert result.stdout == "[]\n"
