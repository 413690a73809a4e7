"""The library between a process and libc: built, preloaded and armed."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

KINDS = (
    *("open", "write", "fsync", "rename", "link", "unlink", "mkdir", "rmdir", "close"),
    *("ftruncate", "flock", "chmod"),
)
ACTIONS = (
    "count", "kill before", "kill after", "kill halfway", "fail once", "fail from then on"
)  # fmt: skip
_PRELOADED = "RELIABILITY_SHIM"


@dataclass(frozen=True)
class Plan:
    """What is to happen at which call.

    Attributes:
        action: One of ``ACTIONS``.
        at: Number of the call, from 1.
        kind: One of ``KINDS``; None: calls of all kinds are counted together.
        errno: The error, where the action is to fail.
    """

    action: str = "count"
    at: int = 0
    kind: str | None = None
    errno: int = 0


UNDISTURBED = Plan()


def missing() -> str | None:
    """Returns why there can be no shim here; None if there can."""
    if sys.platform != "linux":
        return "the shim stands on Linux's LD_PRELOAD"
    if not _compiler():
        return "there is no C compiler"
    return None


def run_preloaded(module: str) -> None:
    """Goes on as ``python -m module`` with the shim preloaded, unless that is so already."""
    if _PRELOADED in os.environ:
        os.environ.pop("LD_PRELOAD", None)  # what this process starts needs none
        return
    if reason := missing():
        sys.exit(f"{module}: error: {reason}")
    with tempfile.TemporaryDirectory() as directory:
        library = build(Path(directory))
        environment = os.environ | {"LD_PRELOAD": str(library), _PRELOADED: str(library)}
        command = [sys.executable, "-m", module, *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def build(directory: Path) -> Path:
    """Compiles the library into a directory, and returns its path."""
    library = directory / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(
        [_compiler(), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True
    )
    return library


def arm(directory: Path, plan: Plan, trace: int) -> None:
    """Begins to count this process's calls, and to act on one.

    Args:
        directory: Only calls on what is below it count.
        plan: What is to happen.
        trace: Descriptor to which each call is written as a line; that of the plan, and those
            that fail after it, begin with an exclamation mark.
    """
    _library().shim_arm(
        os.fsencode(directory),
        -1 if plan.kind is None else KINDS.index(plan.kind),
        ctypes.c_long(plan.at),
        ACTIONS.index(plan.action),
        plan.errno,
        trace,
    )


def counts() -> Counter[str]:
    """Returns how many calls of each kind there were since this process was armed."""
    numbers = (ctypes.c_long * len(KINDS))()
    _library().shim_counts(numbers)
    return Counter({kind: number for kind, number in zip(KINDS, numbers, strict=True) if number})


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ[_PRELOADED])


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")
