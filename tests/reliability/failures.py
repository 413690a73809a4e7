"""Make each call of a command fail: ``python -m tests.reliability.failures compress``.

Each trial has one call fail, once or from then on. No final name may hold half a file and no good
file may be lost; the command ends as if nothing had happened, or with status 2 and one line that
names the file; the same command then succeeds, and leaves nothing over. A run may also go on with
a warning, and be gone on with by ``--resume``.
"""

import argparse
import errno
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.reliability.children import Nursery, Outcome
from tests.reliability.ready import ready
from tests.reliability.runs import UndisturbedRun
from tests.reliability.shim import KINDS, Plan, run_preloaded
from tests.reliability.tasks import Task, Templates, contents, new_run, tasks
from tests.reliability.undisturbed import Undisturbed

# The errors that each kind of call can end with.
ERRORS = {
    "open": ("ENOSPC", "EIO", "EACCES", "EMFILE", "EROFS"),
    "write": ("ENOSPC", "EIO", "EDQUOT"),
    "fsync": ("ENOSPC", "EIO"),
    "rename": ("ENOSPC", "EIO", "EACCES"),
    "link": ("ENOSPC", "EIO", "EACCES"),
    "unlink": ("EIO", "EACCES"),
    "mkdir": ("ENOSPC", "EIO", "EACCES"),
    "rmdir": ("EIO", "EACCES"),
    "close": ("ENOSPC", "EIO"),
    "ftruncate": ("ENOSPC", "EIO"),
    "flock": ("EIO", "ENOLCK"),
    "chmod": ("EIO", "EACCES"),
}
# What differs in names from one trial to the next.
_RANDOM = re.compile(r"(?<=nncompress-)[0-9a-f]{8}|\d{8}_\d{6}|(?<=/tmp)[a-z0-9_]{8}\b")
_ACTIONS = ("fail once", "fail from then on")


def plans(calls: list[tuple[str, str]], kind: str) -> Iterator[Plan]:
    """Goes through all that can fail in calls of a kind."""
    number = sum(called == kind for called, _ in calls)
    for at in range(1, number + 1):
        for name in ERRORS[kind]:
            for action in _ACTIONS:
                yield Plan(action, at, kind, getattr(errno, name))


def fault_of_message(outcome: Outcome, names: tuple[str, ...]) -> str | None:
    """Says what is wrong with how a child told that it failed, or None.

    Args:
        outcome: The child.
        names: What it may name, beside the file whose call failed.
    """
    if outcome.status < 0:
        return f"DIED: of signal {-outcome.status}"
    for sign in ("Traceback", "Exception ignored", "Logging error"):
        if sign in outcome.errors:
            return f"TRACEBACK: {outcome.errors.strip()[-200:]}"
    if outcome.status == 0:
        return None
    if outcome.status != 2:
        return f"STATUS {outcome.status}: {outcome.errors.strip()[-200:]}"
    lines = [line for line in outcome.errors.splitlines() if ": error: " in line]
    if len(lines) != 1:
        return f"NOT ONE LINE: {outcome.errors.strip()[-200:]}"
    failed = {path.split("/")[-1].removesuffix(" (deleted)") for _, path in outcome.hits}
    if not any(name in lines[0] for name in {*names, *failed, " cannot be written: "}):
        return f"NAMES NO FILE: {lines[0]}"
    return None


def fail_command(
    task: Task, over: bool, nursery: Nursery, templates: Templates, draw: "Draw"
) -> Iterator[tuple[Plan, Outcome, str]]:
    """Has the calls of a command fail, and yields what came of each: a fault in capitals."""
    undisturbed = Undisturbed(task, over, nursery, templates)
    for kind in KINDS:
        for plan in draw.of(list(plans(undisturbed.outcome.calls, kind))):
            nursery.furnish(templates.of(task, over))
            outcome = nursery.run(task.body, plan)
            found = contents(nursery.work, task)
            end = undisturbed.end_of(outcome, found)
            if end == "ended":
                end = "refused" if outcome.status else "went well"
                if outcome.status == 0 and found != undisturbed.new:
                    end = "SAID TO BE DONE, AND IS NOT"
            if not end[:1].isupper():
                end = (
                    fault_of_message(outcome, task.files)
                    or undisturbed.fault_after(nursery)
                    or end
                )
            yield plan, outcome, end


def fail_training(
    nursery: Nursery, templates: Templates, draw: "Draw"
) -> Iterator[tuple[Plan, Outcome, str]]:
    """Has the calls of a run fail, and yields what came of each: a fault in capitals."""
    undisturbed = UndisturbedRun(nursery, templates)
    for kind in KINDS:
        for plan in draw.of(list(plans(undisturbed.outcome.calls, kind))):
            nursery.furnish(templates.base)
            outcome = nursery.run(new_run, plan)
            fault = fault_of_message(outcome, ("out",))
            if fault is None and outcome.status == 0:
                fault = undisturbed.fault(nursery)
                if fault and fault.startswith("ANOTHER") and ": warning: " in outcome.errors:
                    fault = None
                end = "went well"
            elif fault is None:
                body, end = undisturbed.next(nursery)
                if not end[:1].isupper():
                    fault, end = undisturbed.fault_of_rest(nursery, body), f"refused, {end}"
            yield plan, outcome, fault or end


class Draw:
    """Draws plans, the same for the same seed.

    Args:
        count: Most plans of each kind of call; None: all.
        seed: Seed of the random numbers.
    """

    def __init__(self, count: int | None, seed: int) -> None:
        self._count = count
        self._random = random.Random(seed)

    def of(self, plans: list[Plan]) -> list[Plan]:
        """Returns those that are tried."""
        if self._count is None or len(plans) <= self._count:
            return plans
        return self._random.sample(plans, self._count)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    names = ["training", *tasks(), "all"]
    add("tasks", nargs="+", choices=names, metavar="TASK", help=", ".join(names))
    add("--count", type=int, help="most trials of each kind of call (default: all)")
    add("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    arguments = parser.parse_args()
    chosen = names[:-1] if "all" in arguments.tasks else arguments.tasks
    fell = 0
    with ready() as (nursery, templates):
        for name in chosen:
            for over in (False,) if name == "training" else tasks()[name].over:
                draw = Draw(arguments.count, arguments.seed)
                trials = (
                    fail_training(nursery, templates, draw)
                    if name == "training"
                    else fail_command(tasks()[name], over, nursery, templates, draw)
                )
                fell += _tell(name + (", over other files" if over else ""), trials, nursery)
    sys.exit(1 if fell else 0)


def _tell(name: str, trials: Iterator[tuple[Plan, Outcome, str]], nursery: Nursery) -> int:
    """Prints what came of trials, by kind of call, and returns how many faults there were."""
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    faults: dict[str, list[str]] = defaultdict(list)
    for plan, outcome, end in trials:
        is_fault = end[:1].isupper()
        ends[str(plan.kind)]["fell" if is_fault else end] += 1
        if is_fault:
            place = outcome.hits[0][1].removeprefix(f"{nursery.root}/") if outcome.hits else "?"
            what = f"{plan.kind} {plan.at}, {place}: {' '.join(end.split())}"
            what = _RANDOM.sub("*", what)
            faults[what].append(f"{errno.errorcode[plan.errno]} {plan.action}")
    for kind, counted in ends.items():
        told = ", ".join(f"{number} {end}" for end, number in sorted(counted.items()))
        print(f"{name}: {kind}: {counted.total()} tried: {told}")
    for fault, errors in faults.items():
        print(f"  {fault} ({', '.join(errors)})")
    sys.stdout.flush()
    return len(faults)


if __name__ == "__main__":
    run_preloaded("tests.reliability.failures")
    main()
