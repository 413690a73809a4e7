"""Chainer under the compatibility module: import, numpy's namespace, and its own training loop."""

import importlib.metadata
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from nncompress.chainer_support import compatibility as chainer_compat
from nncompress.chainer_support import importing
from nncompress.chainer_support.compatibility import chainer

F = chainer.functions
L = chainer.links


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )


def test_importing_leaves_numpy_as_it_was():
    result = run_python(
        "import numpy; before = set(dir(numpy))\n"
        "import nncompress.chainer_support.compatibility\n"
        "print(sorted(set(dir(numpy)) - before - {'core'}), hasattr(numpy, 'sctypes'))"
    )
    assert result.stdout.split() == ["[]", str(hasattr(np, "sctypes"))], result.stderr


def test_importing_the_package_loads_no_heavy_library():
    result = run_python(
        "import sys, nncompress\n"
        "print([name for name in ('chainer', 'cupy', 'numba') if name in sys.modules])"
    )
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("version", ["7.9.0", "8.0.0", "6.7.0"])
def test_unknown_chainer_is_refused_in_one_sentence(monkeypatch, version):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    with pytest.raises(ImportError, match=f"Chainer {version} is installed") as error:
        chainer_compat._check_version()
    assert "7.8.1" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_chainer_is_named(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ImportError, match="Chainer is not installed"):
        chainer_compat._check_version()


@pytest.mark.parametrize(
    "code",
    [
        "import nncompress, chainer; assert nncompress.chainer is chainer",
        "from nncompress import chainer; import chainer as other; assert other is chainer",
        "from nncompress import CompositionalAutoencoder; import chainer",
        "import nncompress; import chainer.functions as F; F.as_strided",
    ],
)
def test_chainer_is_imported_by_its_own_name_after_the_package(code):
    result = run_python(code)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(hasattr(np, "sctypes"), reason="this NumPy lets Chainer be imported alone")
def test_an_import_that_failed_before_the_package_can_be_made_again():
    result = run_python(
        "try:\n    import chainer\nexcept Exception:\n    import nncompress, chainer\n"
        "print(chainer.__version__, chainer.links.Linear.__name__)"
    )
    assert result.stdout.split() == ["7.8.1", "Linear"], result.stderr


def test_another_release_of_chainer_is_left_alone(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "7.9.0")
    assert importing.ChainerFinder().find_spec("chainer") is None


def test_importing_the_package_loads_few_modules():
    """A count of modules, which says the same on every machine."""
    result = run_python(
        "import sys; before = set(sys.modules); import nncompress\n"
        "print(len(set(sys.modules) - before))"
    )
    assert int(result.stdout) < 40


def test_as_strided_has_its_gradient():
    x = chainer.Variable(np.arange(12, dtype=np.float32).reshape(3, 4))
    y = F.as_strided(x, (2, 3), (4, 1))
    assert y.array.tolist() == x.array[:2, :3].tolist()
    y.grad = np.ones((2, 3), np.float32)
    y.backward()
    expected = np.zeros((3, 4))
    expected[:2, :3] = 1
    assert x.grad.tolist() == expected.tolist()


class Classifier(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(2, 16)
            self.l2 = L.Linear(16, 2)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


def test_the_standard_trainer_learns_with_every_extension_used_here(tmp_path, random):
    inputs = random.normal(size=(400, 2)).astype(np.float32)
    labels = (inputs[:, 0] * inputs[:, 1] > 0).astype(np.int32)
    data = chainer.datasets.TupleDataset(inputs, labels)
    model = L.Classifier(Classifier())
    optimizer = chainer.optimizers.Adam(0.02)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(5.0))
    train = chainer.iterators.SerialIterator(data, 50)
    test = chainer.iterators.SerialIterator(data, 100, repeat=False, shuffle=False)
    updater = chainer.training.updaters.StandardUpdater(train, optimizer)
    trainer = chainer.training.Trainer(updater, (20, "epoch"), out=str(tmp_path))
    extensions = chainer.training.extensions
    trainer.extend(extensions.Evaluator(test, model))
    trainer.extend(extensions.LogReport())
    keys = ["main/loss", "validation/main/loss"]
    trainer.extend(extensions.PrintReport(["epoch", *keys], out=io.StringIO()))
    trainer.extend(extensions.PlotReport(keys, trigger=(20, "epoch"), filename="loss.png"))
    trainer.extend(extensions.ProgressBar(out=io.StringIO()))
    trainer.extend(extensions.observe_lr())
    trainer.extend(extensions.snapshot(filename="trainer"), trigger=(20, "epoch"))
    trainer.extend(
        extensions.snapshot_object(model, "model", savefun=chainer.serializers.npz.save_npz),
        trigger=chainer.training.triggers.MinValueTrigger("validation/main/loss", (1, "epoch")),
    )
    trainer.run()

    log = json.loads((tmp_path / "log").read_text())
    assert len(log) == 20
    assert log[-1]["validation/main/accuracy"] > 0.9
    assert log[-1]["validation/main/loss"] < log[0]["validation/main/loss"]
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    restored = L.Classifier(Classifier())
    chainer.serializers.load_npz(str(tmp_path / "trainer"), restored, path="updater/model:main/")
    assert restored.predictor.l1.W.array.tolist() == model.predictor.l1.W.array.tolist()
