#!/usr/bin/env python
"""Execute the tutorials anew, from top to bottom, and keep their outputs."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = ROOT / "docs/tutorials"
# Where the sentence encoder's tutorial looks for its benchmark; its first name is a variable's.
STSB_DEV, STSB_FILE = "STSB_DEV", ROOT / "data/stsb-en-dev.csv"
_SECONDS_A_CELL = 1_200
# Chainer's PrintReport clears the rest of the screen before each line.
_CLEAR = "\x1b[J"


def executed(path: Path) -> nbformat.NotebookNode:
    """Executes a notebook in an empty directory, in which ``data`` is this repository's.

    Args:
        path: The notebook.

    Returns:
        The notebook with its outputs, of which those on stderr, the progress, are left out.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
        ValueError: A cell warned, or an output names a place on this machine.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "tutorial"
        place.mkdir()
        (ROOT / "data").mkdir(exist_ok=True)
        (place / "data").symlink_to(ROOT / "data")
        client = NotebookClient(
            notebook, timeout=_SECONDS_A_CELL, kernel_name="python3", record_timing=False,
            coalesce_streams=True, resources={"metadata": {"path": str(place)}},
            startup_timeout=_SECONDS_A_CELL, extra_arguments=["--log-level=ERROR"],
        )  # fmt: skip
        client.execute(env=_environment(Path(scratch)))
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [each for each in cell.outputs if not _is_progress(each)]
                for output in cell.outputs:
                    if output.output_type == "stream":
                        lines = output.text.replace(_CLEAR, "").split("\n")
                        output.text = "\n".join(map(str.rstrip, lines))
                _refuse_places(cell.outputs, [scratch, str(ROOT), sys.prefix, str(Path.home())])
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def _environment(scratch: Path) -> dict[str, str]:
    """Returns an environment in which the command is this repository's."""
    command = scratch / "bin/nncompress"
    command.parent.mkdir()
    # IPython's commands are asked for colours, which pages do not show.
    script = f'#!/bin/sh\nunset FORCE_COLOR\nexec "{sys.executable}" -m nncompress "$@"\n'
    command.write_text(script, encoding="utf-8")
    command.chmod(0o755)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(command.parent), str(Path(sys.executable).parent),
                                 os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm has no widgets here
    }  # fmt: skip
    if STSB_DEV in environment:
        environment[STSB_DEV] = str(Path(environment[STSB_DEV]).resolve())
    return environment


def _is_progress(output: nbformat.NotebookNode) -> bool:
    if output.output_type != "stream" or output.name != "stderr":
        return False
    if "warning" in output.text.lower():
        raise ValueError(f"a cell warned: {output.text}")
    return True


def _refuse_places(outputs: list[nbformat.NotebookNode], places: list[str]) -> None:
    for place in places:
        if place in str(outputs):
            raise ValueError(f"an output names {place}, a place on this machine: {outputs}")


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python scripts/execute_tutorials.py word_vectors"
    )
    names = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)} (default: all)")
    chosen = parser.parse_args(argv).names or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no tutorial {', '.join(sorted(unknown))}; wanted {', '.join(names)}")
    if "sentence_encoder" in chosen and STSB_DEV not in os.environ and not STSB_FILE.is_file():
        parser.error(
            f"sentence_encoder is kept with the scores of its benchmark; put it into "
            f"{STSB_FILE.relative_to(ROOT)}, or name it in {STSB_DEV}"
        )
    for name in chosen:
        path = TUTORIALS / f"{name}.ipynb"
        text = nbformat.writes(executed(path))
        path.write_text(text + "\n", encoding="utf-8")
        print(f"{path.relative_to(ROOT)} ({len(text):,} bytes)")


if __name__ == "__main__":
    main()
