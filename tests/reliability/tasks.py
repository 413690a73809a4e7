"""What is killed and made to fail: the commands that write files, on small inputs."""

import argparse
import importlib.util
import io
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np

from nncompress.cli import alone, compress, errors, quantize, train
from nncompress.cli.main import main
from tests.reliability.children import Nursery
from tests.reliability.kinds import static_model

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("--threads", "1")
SIZE = ("-M", "2", "-K", "4", *THREADS)
_ROWS, _COLUMNS = 240, 6
_RUN = ("train", *SIZE, "-b", "2", "-e", "10", "--input-matrix", "m.npy")


@dataclass(frozen=True)
class Task:
    """A command that writes files.

    Attributes:
        name: Its name here.
        body: Runs it in the working directory, and exits with its status.
        groups: The files that it writes, by the groups whose files belong together.
        meaning: What a file's bytes mean, where they are not the same each time.
        staged: The file that holds complete earlier results before it holds the last.
        over: Whether other files stand where it writes, each way that is tried. Files whose names
            the user has not given are not replaced by others.
        work: The work directory of a command that is not given again once it has come to its end,
            when there is none; None: it may be given any time.
        setup: Makes further inputs in the directory that the task begins in.
    """

    name: str
    body: Callable[[], object]
    groups: tuple[tuple[str, ...], ...]
    meaning: Callable[[bytes], object] = bytes
    staged: str | None = None
    over: tuple[bool, ...] = (False, True)
    work: str | None = None
    setup: Callable[[Path], None] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it writes."""
        return tuple(name for group in self.groups for name in group)

    def is_stage(self, name: str, content: bytes | None) -> bool:
        """Tells whether a file holds a complete earlier result."""
        if name != self.staged or content is None:
            return False
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                return archive["codebook"].ndim == 2 and all(
                    archive[k].size for k in archive.files
                )
        except (ValueError, OSError, KeyError, zipfile.BadZipFile):
            return False


def command(*arguments: str) -> Callable[[], None]:
    """Returns what runs ``nncompress`` as its program does."""
    return partial(errors.run, partial(main, list(arguments)), "nncompress")


def _convert() -> None:
    path = ROOT / "scripts" / "convert_glove2numpy.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    errors.run(partial(script.main, ["table.txt"]), path.name)


def _train_and_export() -> None:
    from nncompress.compressor import EmbeddingCompressor

    compressor = EmbeddingCompressor(2, 4, "q", threads=1)
    compressor.train("m.npy", max_epochs=8, batch_size=16)
    compressor.export("m.npy")


def _quantize() -> None:
    arguments = ["--matrix", "m.npy", "--model", "run/q", *SIZE, "--evaluate", "--export"]
    errors.run(partial(alone.main, quantize, arguments), "quantize_embed.py")


def _takes(module: ModuleType, flag: str) -> bool:
    """Tells whether a command has a flag."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return flag in parser.format_help()


def _often() -> tuple[str, ...]:
    """Has a run take many snapshots: returns the flags, where there are some for it."""
    if _takes(train, "--snapshot-every"):
        return ("--snapshot-every", "200")
    from nncompress.runs import trainer

    trainer._SELDOM = 0.0
    return ()


def new_run() -> None:
    """Begins the run."""
    command(*_RUN, *_often(), "--out", "out")()


def resumed_run(directory: str) -> Callable[[], None]:
    """Returns what goes on with the run."""

    def body() -> None:
        command("train", "--threads", "1", *_often(), "--resume", directory)()

    return body


def tasks() -> dict[str, Task]:
    """Returns all tasks but training, by name."""
    model = "run/iter_best.npz"
    made = [
        Task(
            "decode",
            command("decode", "--model", model, "--vocab-path", "table.word", "--threads", "1"),
            ((f"{model}.codes", f"{model}.codebook.npy", f"{model}.nnc"),),
        ),
        Task(
            "compress",
            command("compress", "table.txt", "out.nnc", *SIZE, "-e", "8"),
            (("out.nnc",),),
        ),
        Task(
            "import",
            command("import", "made.codes", "made.codebook.npy", "out.nnc"),
            (("out.nnc",),),
        ),
        Task("convert", _convert, (("table.npy", "table.word"),), over=(False,)),
        Task(
            "compressor",
            partial(errors.run, _train_and_export, "compressor"),
            (("q.npz",), ("q.codes", "q.codebook.npy")),
            staged="q.npz",
        ),
        Task("quantize", _quantize, (("run/q.codes", "run/q.codebook.npy"),)),
    ]
    if _takes(compress, "--work"):
        body = command("compress", "table.txt", "out.nnc", *SIZE, "-e", "8", "--work", "work")
        made.append(Task("compress-work", body, (("out.nnc",),)))
    exports = {"word2vec": "out.txt", "word2vec-binary": "out.bin", "glove": "out.txt"}
    for name, path in exports.items():
        body = command("export", "table.nnc", path, "--to", name.removesuffix("-binary"))
        made.append(Task(f"export-{name}", body, ((path,),)))
    if importlib.util.find_spec("gensim"):
        body = command("export", "table.nnc", "out.kv", "--to", "gensim")
        made.append(Task("export-gensim", body, (("out.kv",),), _vectors))
    body = command("export", "table.nnc", "out.npy", "--to", "npy")
    made.append(Task("export-npy", body, (("out.npy", "out.word"),), over=(False,)))
    made += [*_jobs(), *_models()]
    return {task.name: task for task in made}


def _jobs() -> list[Task]:
    """Returns the tasks of tables that are larger than memory."""
    alone = (False,)
    directory = ("manifest.json", "model.nnc", *(f"rows-{n:05d}.nnc" for n in range(3)))
    new = tuple(f"out.nnc/{name}" for name in directory)
    # Three files, of which the first and the second have two blocks.
    encode = ("encode", "made.model", "m.npy", "out.nnc", "--words", "table.word",
              "--shard-rows", "96", "--effort", "quick", *THREADS)  # fmt: skip
    more = ("encode", "made.model", "more.npy", "made.nnc", "--append", "--shard-rows", "64",
            *THREADS)  # fmt: skip
    return [
        Task(
            "learn",
            command("learn", "m.npy", "out.model", *SIZE, "-e", "8", "--work", "work"),
            (("out.model",),),
        ),
        Task(
            "refine",
            partial(_in_small_blocks, command(
                "refine", "made.model", "m.npy", "out.model", *THREADS, "--rounds", "2",
                "--work", "work",
            )),
            (("out.model",),),
        ),
        Task(
            "encode", partial(_in_small_blocks, command(*encode)), (new,), over=alone,
            work="out.nnc.work",
        ),
        Task(
            "append", partial(_in_small_blocks, command(*more)),
            (("made.nnc/manifest.json",), ("made.nnc/model.nnc",), ("made.nnc/rows-00000.nnc",)),
            over=alone, work="made.nnc.work", setup=_make_more,
        ),
        Task("merge", command("merge", "made.nnc", "made.nnc", "out.nnc"), (("out.nnc",),)),
        Task(
            "merge-shards",
            command("merge", "made.nnc", "out.nnc", "--shard-rows", "96"),
            (new,), over=alone, work="none",
        ),
        Task(
            "compress-large",
            partial(_as_large, command("compress", "m.npy", "out.nnc", *SIZE, "-e", "8")),
            (("out.nnc",),),
        ),
        Task("index", command("index", "table.nnc", "--lists", "9"), (("table.nnc.ivf",),)),
    ]  # fmt: skip


def _models() -> list[Task]:
    """Returns the tasks of models' folders, which are written to names that nothing has."""
    names = ("config.json", "model.safetensors", "modules.json", "tokenizer.json",
             "1_Normalize/config.json")  # fmt: skip
    new = tuple(f"out/{name}" for name in names)
    settings = {"over": (False,), "work": "none", "setup": _make_model}
    return [
        Task("compress-model", command("compress", "model", "out", *SIZE, "-e", "8"), (new,),
             **settings),
        Task("export-model", command("export", "small", "out", "--to", "float16"), (new,),
             **settings),
    ]  # fmt: skip


def _in_small_blocks(body: Callable[[], None]) -> None:
    from nncompress.jobs import blocks, refining

    blocks._MOST_BLOCK_ROWS = 64
    refining._GROUP = 2
    _save_always()
    body()


def _as_large(body: Callable[[], None]) -> None:
    from nncompress.jobs import large

    large._MOST_ROWS = _ROWS // 2
    _in_small_blocks(body)


def _save_always() -> None:
    from nncompress.formats.work import WorkDirectory

    WorkDirectory.is_due = lambda work: True


def _make_more(directory: Path) -> None:
    np.save(directory / "more.npy", np.load(directory / "m.npy")[:150] + np.float32(0.01))


def _make_model(directory: Path) -> None:
    """Makes folders of a static model with a module beside, as it was and compressed."""
    folder = directory / "model"
    static_model.write_plain(folder, np.load(directory / "m.npy"))
    (folder / "1_Normalize").mkdir()
    (folder / "1_Normalize/config.json").write_text("{}")
    shutil.copytree(folder, directory / "small")
    static_model.compress(directory / "small")


class Templates:
    """The working directories that tasks begin in.

    Args:
        nursery: Where the commands run that make them.
        directory: An empty directory for them.
    """

    def __init__(self, nursery: Nursery, directory: Path) -> None:
        self._directory = directory
        nursery.furnish()
        make_inputs(nursery.work)
        steps = (
            new_run,
            partial(settle, nursery.work),
            command("decode", "--model", "run/iter_best.npz", "--vocab-path", "table.word",
                    "--threads", "1"),
            command("compress", "table.txt", "table.nnc", *SIZE),
            command("learn", "m.npy", "made.model", *SIZE, "-e", "8"),
            command("encode", "made.model", "m.npy", "made.nnc", "--words", "table.word",
                    *THREADS),
        )  # fmt: skip
        for step in steps:
            outcome = nursery.run(step)
            if outcome.status:
                raise RuntimeError(f"a template cannot be made: {outcome.errors}")
        for suffix in ("codes", "codebook.npy"):
            shutil.move(
                nursery.work / f"run/iter_best.npz.{suffix}", nursery.work / f"made.{suffix}"
            )
        (nursery.work / "run/iter_best.npz.nnc").unlink()
        shutil.copy(nursery.work / "run/iter_best.npz", nursery.work / "run/q.npz")
        self._base = directory / "base"
        shutil.copytree(nursery.work, self._base)

    def of(self, task: Task, over: bool) -> Path:
        """Returns the directory that a task begins in.

        Args:
            task: The task.
            over: Whether other files stand where it writes.
        """
        template = self._directory / f"{task.name}-{over}"
        if not template.exists():
            shutil.copytree(self._base, template)
            if task.setup is not None:
                task.setup(template)
                return template
            for name in task.files:
                (template / name).unlink(missing_ok=True)
                if over:
                    (template / name).write_text(f"what stood at {name} before")
        return template

    @property
    def base(self) -> Path:
        """The directory that training begins in."""
        return self._base


def make_inputs(directory: Path) -> None:
    """Writes a matrix, its words, and both as text."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(12, _COLUMNS))
    rows = centres[random.integers(12, size=_ROWS)] + 0.2 * random.normal(size=(_ROWS, _COLUMNS))
    rows = rows.astype(np.float32)
    np.save(directory / "m.npy", rows)
    words = [f"w{number}" for number in range(_ROWS)]
    (directory / "table.word").write_text("".join(f"{word}\n" for word in words))
    lines = [
        " ".join([word, *map(str, row.tolist())]) for word, row in zip(words, rows, strict=True)
    ]
    (directory / "table.txt").write_text("".join(f"{line}\n" for line in lines))


def settle(work: Path) -> None:
    """Gives the run a name without the time, and its best snapshot one without its number."""
    (run,) = (work / "out").iterdir()
    run.rename(work / "run")
    (work / "out").rmdir()
    found = {int(path.stem[5:]): path for path in (work / "run").glob("iter_*.npz")}
    found[max(found)].rename(work / "run" / "iter_best.npz")
    for path in (work / "run").glob("iter_[0-9]*.npz"):
        path.unlink()


def names_below(directory: Path) -> set[str]:
    """Returns the names of all that is in a directory; a run's, which has the time in it, RUN."""
    names = set()
    for path in directory.rglob("*"):
        parts = list(path.relative_to(directory).parts)
        if "out" in parts[:-1]:
            parts[parts.index("out") + 1] = "RUN"
        names.add("/".join(parts))
    return names


def contents(directory: Path, task: Task) -> dict[str, object]:
    """Returns what a task's files mean; None for those that do not exist."""
    paths = {name: directory / name for name in task.files}
    return {
        name: task.meaning(path.read_bytes()) if path.is_file() else None
        for name, path in paths.items()
    }


def _vectors(content: bytes) -> object:
    """Returns the words and vectors of a table of gensim's, whose bytes tell when it was made."""
    try:
        table = pickle.loads(content)
    except (pickle.UnpicklingError, EOFError, ValueError):
        return content
    return table.index_to_key, table.vectors.tobytes()


def is_left_over(name: str) -> bool:
    """Tells whether a path is something that a dead process left, as its name shows."""
    return any(part.startswith((".nncompress-", "nncompress-")) for part in Path(name).parts)
