"""What a log must hold so that a run can be traced: command, place, code and versions."""

import importlib.metadata
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_PACKAGES = ("numpy", "chainer")
_CUPY_PACKAGES = ("cupy-cuda12x", "cupy-cuda13x", "cupy")


def log_provenance(log: Callable[[str], None]) -> None:
    """Logs the command, host, working directory, git commit and difference, and versions."""
    log(f"Command: {shlex.join(sys.argv)}")
    log(f"Host: {socket.gethostname()} ({platform.platform()})")
    log(f"Working directory: {Path.cwd()}")
    commit = _git("rev-parse", "HEAD")
    if commit is not None:
        log(f"Git commit: {commit}")
        log(f"Git diff: {_git('diff', 'HEAD') or 'none'}")
    log(f"Python: {platform.python_version()}")
    for package in _PACKAGES:
        log(f"{package}: {_version(package) or 'not installed'}")
    cupy = [f"{version} ({name})" for name in _CUPY_PACKAGES if (version := _version(name))]
    log(f"cupy: {', '.join(cupy) or 'not installed'}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Asks git about the repository this code lies in; None where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return None
    return result.stdout.decode(errors="replace").strip() if result.returncode == 0 else None
