"""The examples in the package's docstrings run, on small files of the names that they use."""

import doctest
import importlib
import importlib.util
import pkgutil
import warnings

import pytest

import nncompress
from tests.docs.running import missing_from, provide

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Modules that take a library beside those of training.
LIBRARIES = {"nncompress.models.static_model": "model2vec"}


def modules() -> list[str]:
    """Returns the names of the modules whose docstrings have an example."""
    found = []
    for module in pkgutil.walk_packages(nncompress.__path__, "nncompress."):
        source = module.module_finder.find_spec(module.name).loader.get_source(module.name)
        if ">>> " in source:
            found.append(module.name)
    return found


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch, quick, kept):
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in doctest.DocTestFinder().find(module, name):
        text = "".join(example.source for example in test.examples)
        for library in missing_from(text, True):
            pytest.importorskip(library)
        provide(text, (), kept)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the stand-ins are few rows
            runner.run(test)
    assert runner.summarize().failed == 0
