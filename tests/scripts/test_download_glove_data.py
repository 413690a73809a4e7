"""The download script, with a stand-in for curl: Stanford is not asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "download_glove_data.sh"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "data").mkdir()
    for name in (SCRIPT.name, "fetch_file.sh"):
        shutil.copy(SCRIPT.parent / name, tmp_path / "scripts")

    def run(curl, unzip="exit 0"):
        for name, body in (("curl", curl), ("unzip", unzip)):
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)
        return subprocess.run(
            ["bash", str(tmp_path / "scripts" / SCRIPT.name)],
            env=os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


WRITE_PART = 'while [ "$1" != --output ]; do shift; done; printf short > "$2"'


def test_a_short_download_is_refused_and_kept(run, tmp_path):
    (tmp_path / "data" / "mine.txt").write_text("precious")
    result = run(WRITE_PART)
    assert result.returncode == 2
    assert "has 5 bytes, wanted 862182613" in result.stderr
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "glove.6B.zip.part",
        "mine.txt",
    ]


def test_a_broken_download_says_how_to_go_on(run, tmp_path):
    result = run("exit 18")
    assert result.returncode == 2
    assert "run this script again" in result.stderr


def test_what_is_there_is_neither_downloaded_nor_overwritten(run, tmp_path):
    (tmp_path / "data" / "glove.6B.zip").write_bytes(b"the archive")
    (tmp_path / "data" / "glove.6B.50d.txt").write_text("mine")
    result = run("exit 99", unzip='[ "$1" = -p ] && echo "$3 unpacked"')
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "data" / "glove.6B.50d.txt").read_text() == "mine"
    unpacked = (tmp_path / "data" / "glove.6B.300d.txt").read_text()
    assert unpacked == "glove.6B.300d.txt unpacked\n"
    assert not list((tmp_path / "data").glob(".*"))
