import re

import numpy as np
import pytest

from nncompress.errors import InputError

LINE = re.compile(
    r"\[epoch(\d+)\] train_loss=(\S+) train_maxp=\d\.\d\d valid_loss=(\S+) valid_maxp=\d\.\d\d"
    r" bps=\d+( \*)?"
)


def test_training_evaluating_and_exporting(commands, matrix_path, matrix, tmp_path, capsys):
    model = tmp_path / "mymodel"
    base = ["--matrix", str(matrix_path), "--model", str(model), "-M", "4", "-K", "8"]
    flags = ["--export", "--evaluate", "--train", "--limit", "100", "--recipe", "paper"]
    commands.quantize([*base, *flags])
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == "here --recipe paper means the recipe authors: tau 1, clipping at norm 0.001"
    )
    epochs = [LINE.fullmatch(line) for line in lines[1:-2]]
    assert [int(match[1]) for match in epochs] == list(range(200))
    best = np.inf
    for match in epochs:
        loss = float(match[3])  # to five digits
        if match[4]:
            assert loss <= 0.999 * best * (1 + 1e-4)
            best = loss
        else:
            assert loss >= 0.999 * best * (1 - 1e-4)
    assert lines[-2] == "Training Done"
    distance = float(lines[-1].removeprefix("Mean euclidean distance: "))

    codes = np.loadtxt(f"{model}.codes", dtype=int)
    assert codes.shape == (100, 4)
    one_hot = np.eye(8)[codes].reshape(100, -1)
    exact = np.linalg.norm(matrix[:100] - one_hot @ np.load(f"{model}.codebook.npy"), axis=1)
    assert distance == pytest.approx(exact.mean(), rel=1e-5)

    commands.quantize([*base, "--export", "--limit", "0"])
    assert np.loadtxt(f"{model}.codes", dtype=int).shape == (300, 4)


def test_mistakes(commands, process, matrix_path, tmp_path):
    base = ["--matrix", str(matrix_path), "--model", str(tmp_path / "m")]
    with pytest.raises(InputError, match="limit on rows is -1"):
        commands.quantize([*base, "--train", "--limit", "-1"])
    with pytest.raises(InputError, match=r"m\.npz does not exist; train a model first"):
        commands.quantize([*base, "--evaluate"])
    result = process("bin/quantize_embed.py", *base)
    assert result.returncode == 2
    assert "nothing to do" in result.stderr
