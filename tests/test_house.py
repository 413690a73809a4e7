"""The direction of dependencies, as docs/architecture.md has it, read off the imports."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "nncompress"
# From the top of the house down; a room imports rooms below it alone.
ROOMS = [
    *(
        "cli",
        "hf",
        "static",
        "models",
        "runs",
        "forecast",
        "compressor",
        "compressing",
        "opening",
        "jobs",
        "pipeline",
        "coding",
        "making",
        "job",
        "phases",
        "plan",
        "needs",
        "matrix",
        "training",
    ),
    *(
        "evaluate",
        "trellis",
        "refinement",
        "autoencoder",
        "embedding",
        "gpu",
        "cpu",
        "sources",
        "random",
        "formats",
    ),
    *("chainer_support", "machine", "progress", "timetable", "missing", "errors", "version"),
]
# Imports within functions that go up: doors that open only when somebody comes through.
DOORS = {
    ("embedding", "refinement"),  # encoding new rows
    ("embedding", "jobs"),  # the same as a job does it
    ("embedding", "trellis"),  # coding the residuals of chosen rows anew
    ("machine", "gpu"),  # opening a GPU
    ("machine", "chainer_support"),  # naming it as Chainer does
}


def imports():
    """Yields importing module, imported module, and whether that is within a function."""
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing_alone = {
            id(node)
            for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
            for node in ast.walk(branch)
        }
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and id(node) not in typing_alone:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                for name in names:
                    if name.startswith("nncompress."):
                        yield module.removesuffix(".__init__"), name, id(node) in inside


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def test_every_room_is_known():
    found = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}
    assert {name.removesuffix(".py") for name in found} - {"__init__", "__main__"} == set(ROOMS)


def test_rooms_import_rooms_below_them_alone():
    upwards = set()
    for importer, imported, within_function in imports():
        one, other = room_of(importer), room_of(imported)
        if one in ROOMS and other in ROOMS and ROOMS.index(one) > ROOMS.index(other):
            upwards.add((one, other, within_function))
    assert upwards == {(*door, True) for door in DOORS}


def test_no_files_import_each_other_in_a_circle():
    modules = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
    }
    graph = {module: set() for module in modules}
    for importer, imported, within_function in imports():
        target = imported if imported in modules else imported.rpartition(".")[0]
        if not within_function and target in modules and target != importer:
            graph[importer].add(target)
    while graph:
        leaves = {module for module, targets in graph.items() if not targets & graph.keys()}
        assert leaves, f"circles among {sorted(graph)}"
        graph = {module: targets for module, targets in graph.items() if module not in leaves}


def test_chainer_is_imported_in_one_place():
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(a.name.startswith("chainer") for a in node.names)
    }
    assert "chainer_support/compatibility.py" in users
    # The others name its types alone, for whoever checks them.
    for name in users - {"chainer_support/compatibility.py"}:
        text = (PACKAGE / name).read_text(encoding="utf-8")
        assert "if TYPE_CHECKING:" in text.partition("import chainer")[0], name


def test_text_files_are_read_and_written_in_a_named_encoding():
    """Otherwise the locale decides; ruff's rule for it is a preview."""
    unnamed = []
    for folder in ("nncompress", "scripts", "examples", "bin"):
        for path in (PACKAGE.parent / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                named = any(keyword.arg == "encoding" for keyword in node.keywords)
                mode = next((arg.value for arg in node.args if isinstance(arg, ast.Constant)), "b")
                opens_text = node.func.attr == "open" and mode in ("r", "w", "a", "x", "r+")
                is_member = opens_text and ast.unparse(node.func.value) == "archive"  # of bytes
                if (node.func.attr in ("read_text", "write_text") or opens_text) and not (
                    named or is_member
                ):
                    unnamed.append(f"{path.relative_to(PACKAGE.parent)}:{node.lineno}")
    assert unnamed == []
