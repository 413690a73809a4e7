"""What comes of a run that nothing disturbs, and how one that was disturbed compares."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.reliability.children import Nursery
from tests.reliability.tasks import (
    Templates,
    command,
    is_left_over,
    names_below,
    new_run,
    resumed_run,
)

_ENDINGS = (".codes", ".codebook.npy", ".nnc")


class UndisturbedRun:
    """A run that nothing disturbs.

    Args:
        nursery: Where its child is born.
        templates: What it begins with.

    Attributes:
        outcome: The child.
    """

    def __init__(self, nursery: Nursery, templates: Templates) -> None:
        nursery.furnish(templates.base)
        self.outcome = nursery.run(new_run)
        if self.outcome.status:
            raise RuntimeError(f"training fails undisturbed: {self.outcome.errors}")
        self._contents = _run_contents(nursery)
        self._names = names_below(nursery.root)

    def next(self, nursery: Nursery) -> tuple[Callable[[], None], str]:
        """Returns what goes on after a kill, and a word for it: in capitals if it is a fault.

        A directory without a configuration is a run that never began: going on is refused, and it
        is removed here, as its user would.
        """
        runs = [path for path in (nursery.work / "out").glob("*") if not is_left_over(path.name)]
        if len(runs) > 1:
            return new_run, f"MORE RUNS: {[run.name for run in runs]}"
        if not runs:
            return new_run, "nothing to resume"
        goes_on = resumed_run(str(runs[0].relative_to(nursery.work)))
        if (runs[0] / "config.json").is_file():
            return goes_on, "went on"
        refused = nursery.run(goes_on)
        if refused.status != 2 or "Traceback" in refused.errors:
            return new_run, f"NOT REFUSED: {refused.errors.strip()[-300:]}"
        shutil.rmtree(runs[0])
        return new_run, "nothing to resume"

    def fault_of_rest(self, nursery: Nursery, body: Callable[[], None]) -> str | None:
        """Goes on to the end: says what is wrong with it, or None."""
        outcome = nursery.run(body)
        if outcome.status:
            return f"NOT RESUMED: {outcome.errors.strip()[-300:]}"
        return self.fault(nursery)

    def fault(self, nursery: Nursery) -> str | None:
        """Says what is wrong with a run that has ended, or None."""
        try:
            found = _run_contents(nursery)
        except Exception as error:
            return f"UNREADABLE: {error}"
        names = {*self._contents, *found}
        differ = sorted(n for n in names if self._contents.get(n) != found.get(n))
        if differ:
            return f"ANOTHER RESULT: {', '.join(differ)}"
        left = names_below(nursery.root) ^ self._names
        return f"LEFT: {sorted(left)}" if left else None


def _run_contents(nursery: Nursery) -> dict[str, object]:
    """Returns all that a run has to say, but for times, and decodes it."""
    (run,) = (p for p in (nursery.work / "out").iterdir() if not is_left_over(p.name))
    found: dict[str, object] = {}
    for path in sorted(run.iterdir()):
        if path.suffix == ".npz":
            for key, value in _arrays(path).items():
                found[f"{path.name}:{key}"] = value
        elif path.name == "config.json" or path.name.startswith("chainer_report"):
            found[path.name] = _without_times(json.loads(path.read_text()))
    before = set(run.iterdir())
    decode = command("decode", "--model", str(run.relative_to(nursery.work)), "--threads", "1")
    outcome = nursery.run(decode)
    if outcome.status:
        raise RuntimeError(f"decoding fails: {outcome.errors}")
    for path in set(run.iterdir()) - before:
        if path.name.endswith(_ENDINGS):
            found[path.name] = path.read_bytes()
        path.unlink()
    return found


def _arrays(path: Path) -> dict[str, object]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    found: dict[str, object] = {}
    for key, value in arrays.items():
        if key.endswith("elapsed_time") or key == "sha256":  # a sum over times too
            continue
        if value.dtype.kind in "US" and str(value).startswith(("{", "[")):
            found[key] = _without_times(json.loads(str(value)))
        else:
            found[key] = (value.dtype.str, value.shape, value.tobytes())
    return found


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k != "elapsed_time"}
    return [_without_times(each) for each in value] if isinstance(value, list) else value
