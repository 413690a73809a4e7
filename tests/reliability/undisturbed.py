"""What comes of a command that nothing disturbs, and how one that was disturbed compares."""

import shutil
from pathlib import Path

from nncompress.formats.files import clear_up, scratch_directory
from tests.reliability.children import Nursery, Outcome
from tests.reliability.tasks import Task, Templates, contents, names_below


class Undisturbed:
    """A command that nothing disturbs: what was before, and what comes of it.

    Args:
        task: The command.
        over: Whether other files stand where it writes.
        nursery: Where its children are born.
        templates: What they begin with.

    Attributes:
        outcome: Its child.
        old: What its files held before, by name.
        new: What they hold after it.
        names: All names after it.
    """

    def __init__(self, task: Task, over: bool, nursery: Nursery, templates: Templates) -> None:
        self._task = task
        nursery.furnish(templates.of(task, over))
        self.old = contents(nursery.work, task)
        self.outcome = nursery.run(task.body)
        if self.outcome.status:
            raise RuntimeError(f"{task.name} fails undisturbed: {self.outcome.errors}")
        self.new = contents(nursery.work, task)
        self.names = names_below(nursery.root)

    def end_of(self, outcome: Outcome, found: dict[str, object]) -> str:
        """Names the state that a disturbed child left: in capitals if it is a fault."""
        for name, content in found.items():
            is_whole = content in (self.old[name], self.new[name])
            if not is_whole and not self._task.is_stage(name, content):
                return f"TORN: {name}"
        if outcome.status >= 0:
            return "ended"
        if found == self.old:
            return "old"
        return "new" if found == self.new else "between"

    def is_over(self, nursery: Nursery) -> bool:
        """Tells whether the command came to its end, and is none to be given again."""
        if self._task.work is None or contents(nursery.work, self._task) != self.new:
            return False
        # A directory that is only a lock's tells nothing of a job.
        return not (nursery.work / self._task.work / "work.json").exists()

    def fault_after(self, nursery: Nursery) -> str | None:
        """Sees what the next commands make of it: says what is wrong with that, or None.

        Results that could not be written where they belong may be kept elsewhere, complete.
        """
        for saved in nursery.root.rglob("nncompress-saved-*"):
            for group in self._task.groups:
                kept = {Path(name).name: name for name in group}
                if {path.name for path in saved.iterdir()} == kept.keys() and all(
                    self._task.meaning((saved / short).read_bytes()) == self.new[name]
                    for short, name in kept.items()
                ):
                    shutil.rmtree(saved)
        for group in self._task.groups:
            places = {(nursery.work / name).parent for name in group}
            nursery.run(lambda places=places: [clear_up(place) for place in places])
            found = contents(nursery.work, self._task)
            new = [name for name in group if found[name] != self.old[name]]
            if len(group) > 1 and new and any(found[n] != self.new[n] for n in group):
                return f"SPLIT: {', '.join(new)} are new, and not all"
        if self.is_over(nursery):
            nursery.run(lambda: _come_by(nursery.work))
            work = f"{nursery.work.name}/{self._task.work}"
            empty = {work, f"{work}/.nncompress-lock"}  # and tells nothing
            left = (names_below(nursery.root) ^ self.names) - empty
            return f"LEFT: {sorted(left)}" if left else None
        again = nursery.run(self._task.body)
        if again.status:
            return f"NOT AGAIN: {again.errors.strip()[-300:]}"
        if contents(nursery.work, self._task) != self.new:
            return "ANOTHER RESULT"
        names = names_below(nursery.root)
        return f"LEFT: {sorted(names ^ self.names)}" if names != self.names else None


def _come_by(work: Path) -> None:
    """Does what any command does that writes to a directory, and to temporary files."""
    clear_up(work)
    with scratch_directory():
        pass
