"""Commands of examples: run in this process, or looked at where running them is not for a test."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from nncompress.cli import main as command
from nncompress.errors import NotGoodEnough
from tests.docs.pages import REPOSITORY

SCRIPTS = {"train_comp.py": "train", "infer_comp.py": "decode", "quantize_embed.py": "quantize"}
SHELL = re.compile(r"\s(\||;|>|<|2>)\s")


def lines_of(text: str) -> list[str]:
    """Returns a block's commands; a line that ends in a backslash goes on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        part.strip()
        for line in lines
        if not line.lstrip().startswith("#")
        for part in _parts(line)
    ]


def _parts(line: str) -> list[str]:
    return [part for part in re.split(r"\s+&&\s+", line) if part.strip()]


def run(line: str, parses_alone: bool = False) -> None:
    """Runs a line, or sees that what it names is there.

    Args:
        line: A command and its arguments, perhaps with a comment behind them.
        parses_alone: Whether to parse its arguments, and no more.
    """
    words = shlex.split(line, comments=True)
    if _is_for_a_shell(line):
        return None if parses_alone else _in_a_shell(line)
    while "=" in words[0]:  # settings of the environment
        words = words[1:]
    if words[0] == "mpiexec":
        return run(shlex.join(words[3:]), parses_alone=True)
    ours = _ours(words)
    if ours is None:
        assert words[0] in LOOKED_AT, f"{line}: tests/docs/commands.py does not know {words[0]}"
        return LOOKED_AT[words[0]](words[1:])
    if "--version" in ours:
        return None
    command._parser().parse_args(ours)
    if not parses_alone and ours[0] != "fetch" and not _on_a_gpu(ours):
        try:
            command.main(ours)
        except NotGoodEnough as error:  # the stand-ins are not what was asked for
            if "--require" not in ours:
                raise error
    return None


def _is_for_a_shell(line: str) -> bool:
    return bool(SHELL.search(f" {line.split('#')[0]} "))


def _in_a_shell(line: str) -> None:
    """Runs a line with pipes and redirections as a shell does, with this Python's nncompress."""
    tools = Path("tools").absolute()
    tools.mkdir(exist_ok=True)
    tool = tools / "nncompress"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m nncompress "$@"\n')
    tool.chmod(0o755)
    paths = {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], env=os.environ | paths, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    # 141: a pipe that its reader has closed, as head does.
    assert done.returncode in (0, 141), f"{line}: {done.stderr}"


def outputs(line: str) -> list[str]:
    """Returns what a line writes."""
    if _is_for_a_shell(line):
        return []
    ours = _ours(shlex.split(line, comments=True))
    if ours is None or "--version" in ours:
        return []
    written = getattr(command._parser().parse_args(ours), "output", None)
    return [] if written is None else [str(written)]


def may_be_repeated(line: str) -> bool:
    """Returns whether all that running a line again could do is to write its output again."""
    ours = [] if _is_for_a_shell(line) else _ours(shlex.split(line, comments=True))
    inside = all("/" not in name for name in outputs(line))
    return bool(ours) and ours[0] in ("compress", "evaluate", "learn", "export") and inside


def _ours(words: list[str]) -> list[str] | None:
    """Returns the arguments of the command ``nncompress`` that a line stands for."""
    if words[0].removeprefix("python") in ("", "3"):
        words = words[1:]
    if words[:2] == ["-m", "nncompress"]:
        return words[2:]
    if words[0] == "nncompress":
        return words[1:]
    script = words[0].split("/")[-1]
    return [SCRIPTS[script], *words[1:]] if script in SCRIPTS else None


def _on_a_gpu(arguments: list[str]) -> bool:
    return any(flag in arguments for flag in ("-g", "--gpu"))


def _extras(words: list[str]) -> None:
    known = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for word in words:
        extras = re.search(r"\[([\w,-]+)\]", word)
        for extra in (
            extras[1].split(",") if extras and "nncompress" in word + "nncompress" else ()
        ):
            assert extra in known["optional-dependencies"], f"{word}: there is no extra {extra}"
        if word.endswith(".txt"):
            assert (REPOSITORY / word).is_file(), f"there is no {word}"


def _target(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert words[0] in targets, f"make has no {words[0]}"


def _script(words: list[str]) -> None:
    if words[0] == "-m":
        name = words[1].replace(".", "/")
        if name.split("/")[0] in ("tests", "nncompress"):
            assert (REPOSITORY / f"{name}.py").is_file(), f"there is no module {words[1]}"
    else:
        assert (REPOSITORY / words[0]).is_file(), f"there is no {words[0]}"


def _nothing(words: list[str]) -> None:
    """Takes what is not this project's as it is."""


LOOKED_AT: dict[str, Callable[[list[str]], None]] = {
    "make": _target,
    "pip": _extras,
    "python": _script,
    "python3": _script,
    "uv": _extras,
    **dict.fromkeys(("apt", "cd", "git", "hf", "source", ".", "wc", "ls"), _nothing),
    **{
        script: lambda words, script=script: _script([script])
        for script in ("scripts/download_glove_data.sh", "scripts/download_images.sh")
    },
}
