"""Kill commands at random moments or calls: ``python -m tests.reliability.kills training``.

Each trial kills a command once or twice. Final names must hold what stood there before or what is
new, complete; files that belong together must be all old or all new once another command has
begun; the same command must then succeed, with the result of one that nothing disturbed, and leave
nothing over. A run goes on by ``--resume`` to the end that it would have had.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.reliability.children import Nursery, Outcome
from tests.reliability.ready import ready
from tests.reliability.shim import Plan, run_preloaded
from tests.reliability.tasks import (
    Task,
    Templates,
    command,
    contents,
    is_left_over,
    names_below,
    new_run,
    resumed_run,
    tasks,
)
from tests.reliability.undisturbed import Undisturbed

_KILLS = ("kill before", "kill after", "kill halfway")
_RUN_FILES = ("codes", "codebook.npy", "nnc")


class Killer:
    """Kills children at random.

    Args:
        nursery: Where they are born.
        how: ``"moments"`` or ``"calls"``, uniform over those of an undisturbed child.
        seed: Seed of the random numbers.
    """

    def __init__(self, nursery: Nursery, how: str, seed: int) -> None:
        self.random = random.Random(seed)
        self._nursery = nursery
        self._how = how

    def run(self, body: Callable[[], object], undisturbed: Outcome) -> tuple[Outcome, str]:
        """Runs a function in a child that is killed, and tells when."""
        if self._how == "moments":
            moment = self.random.uniform(0.0, undisturbed.seconds)
            return self._nursery.run(body, moment=moment), f"after {moment:.3f} s"
        at = self.random.randint(1, max(1, len(undisturbed.calls)))
        plan = Plan(self.random.choice(_KILLS), at)
        outcome = self._nursery.run(body, plan)
        return outcome, f"{plan.action} at call {at} of {len(undisturbed.calls)}: {outcome.hits}"


def kill_command(
    task: Task, killer: Killer, nursery: Nursery, templates: Templates, count: int
) -> tuple[Counter[str], list[str]]:
    """Kills a command a number of times.

    Returns:
        How often which end came, and the faults.
    """
    ends: Counter[str] = Counter()
    faults: list[str] = []
    undisturbed = {over: Undisturbed(task, over, nursery, templates) for over in (False, True)}
    for _ in range(count):
        over = killer.random.random() < 0.5
        expected = undisturbed[over]
        nursery.furnish(templates.of(task, over))
        told = []
        for _ in range(killer.random.choice((1, 1, 2))):
            outcome, when = killer.run(task.body, expected.outcome)
            told.append(when)
            end = expected.end_of(outcome, contents(nursery.work, task))
            if end[:1].isupper() or outcome.status >= 0:
                break
        if not end[:1].isupper():
            end = expected.fault_after(nursery) or end
        ends[end.split(":")[0]] += 1
        if end[:1].isupper():
            faults.append(f"{task.name} over={over} {'; '.join(told)}: {end}")
    return ends, faults


def kill_training(
    killer: Killer, nursery: Nursery, templates: Templates, count: int
) -> tuple[Counter[str], list[str]]:
    """Kills a run a number of times, and goes on with it.

    Returns:
        How often which end came, and the faults.
    """
    ends: Counter[str] = Counter()
    faults: list[str] = []
    nursery.furnish(templates.base)
    undisturbed = nursery.run(new_run)
    if undisturbed.status:
        raise RuntimeError(f"training fails undisturbed: {undisturbed.errors}")
    expected = _run_contents(nursery)
    expected_names = names_below(nursery.root)
    for _ in range(count):
        nursery.furnish(templates.base)
        told: list[str] = []
        end = _killed_run(killer, nursery, undisturbed, told)
        if not end[:1].isupper():
            try:
                found = _run_contents(nursery)
            except Exception as error:
                end = f"UNREADABLE: {error}"
            else:
                differ = sorted(
                    name for name in expected.keys() | found.keys()
                    if expected.get(name) != found.get(name)
                )  # fmt: skip
                names = names_below(nursery.root) ^ expected_names
                if differ:
                    end = f"ANOTHER RESULT: {', '.join(differ)}"
                elif names:
                    end = f"LEFT: {sorted(names)}"
        ends[end.split(":")[0]] += 1
        if end[:1].isupper():
            faults.append(f"training {'; '.join(told)}: {end}")
    return ends, faults


def _killed_run(killer: Killer, nursery: Nursery, undisturbed: Outcome, told: list[str]) -> str:
    """Kills a run once or twice and sees it to its end."""
    outcome, when = killer.run(new_run, undisturbed)
    told.append(when)
    if outcome.status >= 0:
        return "ended before" if outcome.status == 0 else f"FAILED: {outcome.errors[-300:]}"
    end = "went on"
    twice = killer.random.random() < 0.3
    while True:
        runs = [p for p in (nursery.work / "out").glob("*") if not is_left_over(p.name)]
        if len(runs) > 1:
            return f"MORE RUNS: {[run.name for run in runs]}"
        if not runs:
            body, end = new_run, "nothing to resume"
        elif not _trainer_snapshots(runs[0]):
            refused = nursery.run(resumed_run(str(runs[0].relative_to(nursery.work))))
            if refused.status != 2 or "Traceback" in refused.errors:
                return f"NOT REFUSED: {refused.errors.strip()[-300:]}"
            # Without a snapshot it is recognized as a run that never began.
            for path in sorted(runs[0].rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            runs[0].rmdir()
            body, end = new_run, "nothing to resume"
        else:
            body = resumed_run(str(runs[0].relative_to(nursery.work)))
        if twice:
            outcome, when = killer.run(body, undisturbed)
            told.append(f"again {when}")
            twice = False
        else:
            outcome = nursery.run(body)
        if outcome.status > 0:
            return f"NOT RESUMED: {outcome.errors.strip()[-300:]}"
        if outcome.status == 0:
            return end


def _trainer_snapshots(run: Path) -> list[Path]:
    return list(run.glob("trainer_snapshot*"))


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
    best = max(run.glob("iter_*.npz"), key=lambda path: int(path.stem[5:]))
    before = set(run.iterdir())
    decode = command("decode", "--model", str(run.relative_to(nursery.work)), "--threads", "1")
    outcome = nursery.run(decode)
    if outcome.status:
        raise RuntimeError(f"decoding fails: {outcome.errors}")
    for ending in _RUN_FILES:
        found[ending] = Path(f"{best}.{ending}").read_bytes()
    for path in set(run.iterdir()) - before:
        path.unlink()
    return found


def _arrays(path: Path) -> dict[str, object]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    found: dict[str, object] = {}
    for key, value in arrays.items():
        if key.endswith("elapsed_time"):
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


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("tasks", nargs="+", choices=["training", *tasks(), "all"], metavar="TASK",
        help=", ".join(["training", *tasks(), "all"]))  # fmt: skip
    add("--count", type=int, default=20, help="trials of each task (default: 20)")
    add("--how", choices=("moments", "calls"), default="calls", help="(default: calls)")
    add("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    arguments = parser.parse_args()
    chosen = ["training", *tasks()] if "all" in arguments.tasks else arguments.tasks
    fell = 0
    with ready() as (nursery, templates):
        for name in chosen:
            killer = Killer(nursery, arguments.how, arguments.seed)
            if name == "training":
                ends, faults = kill_training(killer, nursery, templates, arguments.count)
            else:
                task = tasks()[name]
                ends, faults = kill_command(task, killer, nursery, templates, arguments.count)
            told = ", ".join(f"{number} {end}" for end, number in sorted(ends.items()))
            print(
                f"{name} {arguments.how} seed {arguments.seed}: {arguments.count} trials: {told}"
            )
            for fault in faults:
                print(f"  {fault}")
            sys.stdout.flush()
            fell += len(faults)
    sys.exit(1 if fell else 0)


if __name__ == "__main__":
    run_preloaded("tests.reliability.kills")
    main()
