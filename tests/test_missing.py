"""A library that is missing is named with the extra that brings it, and the line to install it."""

import ast
import functools
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError, missing
from nncompress.missing import MissingLibraryError, brought_by, install_line

is_installed = missing._is_installed  # which tests/conftest.py replaces

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
BASE = {"nncompress", "numpy", "tqdm", *sys.stdlib_module_names}
# Modules whose distribution has another name.
DISTRIBUTIONS = {"faiss": "faiss-cpu", "ot": "pot", "sklearn": "scikit-learn"}
# What comes with another library: never on its own.
COMES_WITH = {"chainermn": "chainer", "cupyx": "cupy", "llvmlite": "numba", "scipy": "gensim"}


def requirements_of(extra):
    """Returns the distributions that an extra brings, by way of other extras too."""
    names = set()
    for requirement in EXTRAS[extra]:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement).groups()
        names.add(name)
        if name == PROJECT["name"]:
            for other in extras.split(","):
                names |= requirements_of(other)
    return names


def library(module):
    name = module.partition(".")[0]
    return COMES_WITH.get(name, name)


def optional_imports(path):
    """Yields each import of an optional library, and how it is guarded: an extra, True or None."""

    def visit(node, guard):
        if isinstance(node, ast.With):
            for item in node.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("brought_by"):
                    guard = call.args[0].value
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Try) and any("Error" in ast.unparse(h) for h in node.handlers):
            guard = guard or True
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module]
        for module in modules:
            if module.partition(".")[0] not in BASE:
                yield library(module), guard
        for child in ast.iter_child_nodes(node):
            yield from visit(child, guard)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), None)


@functools.cache
def guards():
    """Returns for each file its optional libraries, with the guards of each."""
    found = {}
    for path in (ROOT / "nncompress").rglob("*.py"):
        for name, guard in optional_imports(path):
            found.setdefault(path, {}).setdefault(name, []).append(guard)
    return found


def test_each_optional_library_is_imported_where_its_extra_is_named():
    found = guards()
    bare = set()
    for path, libraries in found.items():
        rooms = [parent / "__init__.py" for parent in path.parents if parent != ROOT]
        for name in libraries:
            # The file itself, or the room that is imported before it.
            if not any(
                guard for place in [path, *rooms] for guard in found.get(place, {}).get(name, [])
            ):
                bare.add((path.relative_to(ROOT).as_posix(), name))
    # Whether Chainer is there, and the release that is known, is looked at by itself.
    assert bare == {("nncompress/chainer_support/compatibility.py", "chainer")}


def test_each_extra_that_is_named_brings_the_library():
    for path, libraries in guards().items():
        for name, extras in libraries.items():
            for extra in extras:
                if isinstance(extra, str):
                    wanted = DISTRIBUTIONS.get(name, name.replace("_", "-"))
                    assert wanted in requirements_of(extra), (path, name, extra)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_with_chainer_is_installed_by_the_line_that_builds_chainer(extra):
    line = install_line(extra)
    assert line.endswith(f'"chainer-nncompress[{extra}]"')
    builds = "--no-build-isolation" in line
    assert builds == ("chainer" in requirements_of(extra))
    if builds:
        constraint = (ROOT / "build-constraints.txt").read_text(encoding="utf-8").splitlines()[-1]
        least, below = re.fullmatch(r"setuptools>=(\d+),<(\d+)", constraint).groups()
        version = re.match(r"pip install setuptools==(\d+)\.", line)[1]
        assert int(least) <= int(version) < int(below)


def test_other_errors_and_modules_of_the_package_itself_are_left_alone():
    with pytest.raises(KeyError), brought_by("train"):
        raise KeyError
    with pytest.raises(ModuleNotFoundError, match="No module named") as error, brought_by("train"):
        import nncompress.no_such_module  # noqa: F401
    assert not isinstance(error.value, MissingLibraryError)
    with pytest.raises(MissingLibraryError, match="'plot'") as error, brought_by("train"):  # noqa: SIM117
        with brought_by("plot", "drawing"):
            import no_such_library.part  # noqa: F401
    assert error.value.name == "no_such_library"
    assert str(error.value).startswith("drawing needs no_such_library, which is not installed; ")


@pytest.fixture
def embedding(random):
    codebook = random.normal(size=(8, 6)).astype(np.float32)
    words = ["king", "queen", "man"]
    return CompressedEmbedding.from_codes(random.integers(4, size=(3, 2)), codebook, words)


@pytest.mark.parametrize(
    ("name", "module", "extra", "call"),
    [
        ("gensim", "gensim_vectors", "gensim", lambda emb: emb.to_gensim()),
        ("torch", "torch_module", "torch", lambda emb: emb.to_torch()),
        ("faiss", "faiss_index", "faiss", lambda emb: emb.to_faiss()),
        ("ot", "", "gensim", lambda emb: emb.wmdistance(["king"], ["queen"])),
        ("tokenizers", "", "tokenizers", lambda emb: emb.encode(["king"], ROOT / "README.md")),
    ],
)
def test_a_method_that_needs_a_library_names_its_extra(
    embedding, monkeypatch, name, module, extra, call
):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"nncompress.embedding.bridges.{module}", raising=False)
    with pytest.raises(InputError) as error:
        call(embedding)
    assert isinstance(error.value, ImportError)
    assert f"{name}" in str(error.value)
    assert str(error.value).endswith(install_line(extra))
    assert "\n" not in str(error.value)


def test_in_a_clone_that_is_not_installed_the_clone_is_installed(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    monkeypatch.setattr(missing, "_is_installed", is_installed)
    assert install_line("compress") == 'pip install ".[compress]"'
    assert install_line("train") == (
        'pip install setuptools==80.9.0 && pip install --no-build-isolation ".[train]"'
    )
