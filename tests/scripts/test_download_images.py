"""The script that fetches images, with a stand-in for curl: nobody is asked."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LABELS = "t10k-labels-idx1-ubyte.gz"


@pytest.fixture
def run(tmp_path):
    def run(body):
        curl = tmp_path / "bin" / "curl"
        curl.parent.mkdir(exist_ok=True)
        curl.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{body}\n')
        curl.chmod(0o755)
        return subprocess.run(
            ["bash", str(SCRIPTS / "download_images.sh"), "mnist", str(tmp_path / "data")],
            env=os.environ | {"PATH": f"{curl.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    # All are there but one, of 4,542 bytes.
    (tmp_path / "data").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3"):
        (tmp_path / "data" / f"{name}-ubyte.gz").touch()
    return run


WRITE = 'while [ "$1" != --output ]; do shift; done; head -c {} /dev/zero >> "$2"'


def test_what_is_not_the_file_that_is_wanted_is_not_kept(run, tmp_path):
    result = run(WRITE.format(4_542))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "has SHA-256 " in result.stderr
    assert not list((tmp_path / "data").glob(f"{LABELS}*"))


def test_a_download_goes_on_over_https_alone(run, tmp_path):
    assert "has 4000 bytes, wanted 4542" in run(WRITE.format(4_000)).stderr
    assert (tmp_path / "data" / f"{LABELS}.part").stat().st_size == 4_000
    assert "has SHA-256 " in run(WRITE.format(542)).stderr
    for line in (tmp_path / "asked").read_text().splitlines():
        assert "--proto =https --tlsv1.2" in line
        assert "--continue-at -" in line


def test_names_that_are_not_known_are_refused():
    result = subprocess.run(
        ["bash", str(SCRIPTS / "download_images.sh")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == (
        "download_images.sh: error: unknown images ''; wanted cifar10 or mnist\n"
    )


def test_a_directory_that_cannot_be_made_is_one_line_and_status_2(tmp_path):
    (tmp_path / "file").touch()
    result = subprocess.run(
        ["bash", str(SCRIPTS / "download_images.sh"), "mnist", str(tmp_path / "file")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
