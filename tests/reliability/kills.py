"""Kill commands at random moments or calls: ``python -m tests.reliability.kills training``.

Each trial kills a command once or twice. Final names must hold what stood there before or what is
new, complete; files that belong together must be all old or all new once another command has
begun; the same command must then succeed, with the result of one that nothing disturbed, and leave
nothing over. A run goes on by ``--resume`` to the end that it would have had.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable

from tests.reliability.children import Nursery, Outcome
from tests.reliability.ready import ready
from tests.reliability.runs import UndisturbedRun
from tests.reliability.shim import Plan, run_preloaded
from tests.reliability.tasks import Task, Templates, contents, new_run, tasks
from tests.reliability.undisturbed import Undisturbed

_KILLS = ("kill before", "kill after", "kill halfway")


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
        told = f"{plan.action} at call {at} of {len(undisturbed.calls)}"
        for kind, path in outcome.hits:
            told += f", {kind} {path.removeprefix(f'{self._nursery.root}/')}"
        return outcome, told


def kill_command(
    task: Task, killer: Killer, nursery: Nursery, templates: Templates, count: int
) -> tuple[Counter[str], list[str]]:
    """Kills a command a number of times.

    Returns:
        How often which end came, and the faults.
    """
    ends: Counter[str] = Counter()
    faults: list[str] = []
    undisturbed = {over: Undisturbed(task, over, nursery, templates) for over in task.over}
    for _ in range(count):
        over = killer.random.choice(task.over)
        expected = undisturbed[over]
        nursery.furnish(templates.of(task, over))
        told = []
        for _ in range(killer.random.choice((1, 1, 2))):
            outcome, when = killer.run(task.body, expected.outcome)
            told.append(when)
            end = expected.end_of(outcome, contents(nursery.work, task))
            if end[:1].isupper() or outcome.status >= 0 or expected.is_over(nursery):
                break
        if not end[:1].isupper():
            end = expected.fault_after(nursery) or end
        ends[end.split(":")[0]] += 1
        if end[:1].isupper():
            over_others = ", over other files" if over else ""
            faults.append(f"{task.name}{over_others}: {'; '.join(told)}: {' '.join(end.split())}")
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
    undisturbed = UndisturbedRun(nursery, templates)
    for _ in range(count):
        nursery.furnish(templates.base)
        told: list[str] = []
        body, end = new_run, "ended"
        for _ in range(killer.random.choice((1, 1, 2))):
            outcome, when = killer.run(body, undisturbed.outcome)
            told.append(when)
            if outcome.status >= 0:
                break
            body, end = undisturbed.next(nursery)
            if end[:1].isupper():
                break
        if not end[:1].isupper():
            if outcome.status > 0:
                end = f"FAILED: {outcome.errors.strip()[-300:]}"
            elif outcome.status < 0:
                end = undisturbed.fault_of_rest(nursery, body) or end
            else:
                end = undisturbed.fault(nursery) or end
        ends[end.split(":")[0]] += 1
        if end[:1].isupper():
            faults.append(f"training: {'; '.join(told)}: {' '.join(end.split())}")
    return ends, faults


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
