"""Running examples in the current directory."""

import ast
import hashlib
import importlib.util
import shutil
from collections.abc import Collection
from pathlib import Path

from tests.docs import commands, stand_ins
from tests.docs.pages import REPOSITORY, Example

# Libraries that modules of this project bring in.
BROUGHT_IN = {
    "nncompress.hf": "transformers",
    "nncompress.static": "model2vec",
}
# Functions of this project whose last argument is what they write.
WRITE = ("compress", "compress_model", "encode_rows", "export", "merge")


def missing_from(text: str, is_python: bool) -> set[str]:
    """Returns the libraries beside this project that an example takes and that are missing."""
    needed = {name for _, needs in stand_ins.files_of(text).values() for name in needs}
    for node in ast.walk(ast.parse(text if is_python else "")):
        if isinstance(node, ast.Import):
            needed |= {BROUGHT_IN.get(alias.name, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            needed.add(BROUGHT_IN.get(node.module, node.module))
    tops = {name.split(".")[0] for name in needed} - {"nncompress"}
    return {top for top in tops if importlib.util.find_spec(top) is None}


def names_read(example: Example) -> set[str]:
    """Returns the names that an example reads."""
    return _names(example, ast.Load)


def names_set(example: Example) -> set[str]:
    """Returns the names that an example sets, by imports too."""
    nodes = ast.walk(ast.parse(example.text if example.is_python else ""))
    imports = (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    names = {(a.asname or a.name).split(".")[0] for node in imports for a in node.names}
    return names | _names(example, ast.Store)


def _names(example: Example, kind: type[ast.expr_context]) -> set[str]:
    nodes = ast.walk(ast.parse(example.text if example.is_python else ""))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}


def provide(text: str, written: Collection[str], kept: Path) -> None:
    """Brings the files that a text names and that are not there, but for what it writes.

    Args:
        text: An example.
        written: The names of what it writes.
        kept: Where files are kept once they have been made.
    """
    for name, (make, _) in stand_ins.files_of(text, written).items():
        path = Path(name)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if make is stand_ins.run_directory:
            make(path)
            continue
        made = kept / name.replace("/", "_")
        if not made.exists():
            made.mkdir()
            make(made / path.name)
        shutil.copytree(made, path.parent, dirs_exist_ok=True)


def run(example: Example, namespace: dict, kept: Path) -> None:
    """Runs an example; Python has the names of those before it."""
    if example.is_python:
        _run_python(example, namespace, kept)
    else:
        for line in commands.lines_of(example.text):
            _run_line(line, kept)


def _run_python(example: Example, namespace: dict, kept: Path) -> None:
    written = _written_by(example)
    _make_room(written)
    provide(example.text, written, kept)
    for name in sorted(names_read(example) - names_set(example) - namespace.keys()):
        for needed in (*stand_ins.NAMES_NEED.get(name, ()), name):
            if needed in stand_ins.NAMES and needed not in namespace:
                namespace[needed] = stand_ins.NAMES[needed](namespace)
    code = "\n" * example.line + example.text
    exec(compile(code, REPOSITORY / example.page, "exec"), namespace)


def _written_by(example: Example) -> list[str]:
    calls = (node for node in ast.walk(ast.parse(example.text)) if isinstance(node, ast.Call))
    return [
        call.args[-1].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in WRITE
        and len(call.args) > 1
        and isinstance(call.args[-1], ast.Constant)
    ]


def _run_line(line: str, kept: Path) -> None:
    """Runs a command; one that has been run before gives what it gave then."""
    written = commands.outputs(line)
    if "--append" not in line:
        _make_room(written)
    before = kept / hashlib.sha256(line.encode()).hexdigest()
    if before.exists():
        shutil.copytree(before, Path(), dirs_exist_ok=True)
        return
    provide(line, written, kept)
    commands.run(line)
    if commands.may_be_repeated(line):
        before.mkdir()
        for path in map(Path, written):
            if path.exists():
                copy = shutil.copytree if path.is_dir() else shutil.copy
                copy(path, before / path.name)


def _make_room(written: Collection[str]) -> None:
    """Removes folders that an example before has written: commands replace none."""
    for path in map(Path, written):
        if path.is_dir():
            shutil.rmtree(path)
