import json
import runpy
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "chainer" / "own_trainer.py"


def test_the_chain_learns_in_a_trainer_of_ones_own_and_an_extension_of_ones_own_in_ours(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr()
    assert [line for line in printed.err.splitlines() if not line.startswith("Compiling")] == []
    first, *watched, last = printed.out.splitlines()
    length = np.sqrt(50)  # about that of the rows, which are plain noise
    assert 0.5 * length < float(first.removeprefix("your trainer: ")) < 1.2 * length
    assert [int(line.split()[0]) for line in watched] == list(range(70, 626, 70))
    assert float(last.removeprefix("its validation loss: ")) < 0.6 * 50
    assert len(json.loads((tmp_path / "result" / "log").read_text())) == 5
