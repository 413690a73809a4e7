import signal

import pytest
from cifar10 import cifar10_train


@pytest.mark.parametrize(
    "script",
    ["cifar10/cifar10_train.py", "cifar10/cifar10_eval.py", "mnist/mnist_compression.py"],
)
def test_a_signal_while_modules_are_imported_is_one_line_and_a_status(start, tmp_path, script):
    (tmp_path / "chainer.py").write_text("import time; print('here', flush=True); time.sleep(60)")
    process = start(script, "--data=digits", modules=tmp_path)
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said) == (130, f"{script.rpartition('/')[2]}: interrupted\n")


def test_a_flag_is_named_once_where_it_is_refused(capsys):
    with pytest.raises(SystemExit):
        cifar10_train.main(["--data=bogus"])
    assert "argument --data: invalid choice" in capsys.readouterr().err
