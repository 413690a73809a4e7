import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def test_the_chain_learns_in_a_trainer_of_ones_own_and_an_extension_of_ones_own_in_ours(tmp_path):
    result = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "chainer" / "own_trainer.py")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in result.stderr.splitlines() if not line.startswith("Compiling")]
    assert (result.returncode, said) == (0, [])
    first, *watched, last = result.stdout.splitlines()
    length = np.sqrt(50)  # about that of the rows, which are plain noise
    assert 0.5 * length < float(first.removeprefix("your trainer: ")) < 1.2 * length
    assert [int(line.split()[0]) for line in watched] == list(range(70, 626, 70))
    assert float(last.removeprefix("its validation loss: ")) < 0.6 * 50
    assert len(json.loads((tmp_path / "result" / "log").read_text())) == 5
