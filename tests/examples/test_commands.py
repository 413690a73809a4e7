import signal

import pytest
from cifar10 import cifar10_eval, cifar10_train
from language_model import language_model
from mnist import mnist_compression


@pytest.mark.parametrize(
    "script",
    [
        "cifar10/cifar10_train.py",
        "cifar10/cifar10_eval.py",
        "mnist/mnist_compression.py",
        "language_model/language_model.py",
    ],
)
def test_a_signal_while_modules_are_imported_is_one_line_and_a_status(start, tmp_path, script):
    (tmp_path / "chainer.py").write_text("import time; print('here', flush=True); time.sleep(60)")
    process = start(script, modules=tmp_path)
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said) == (130, f"{script.rpartition('/')[2]}: interrupted\n")


def test_a_flag_is_named_once_where_it_is_refused(capsys):
    with pytest.raises(SystemExit):
        cifar10_train.main(["--data=bogus"])
    assert "argument --data: invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (cifar10_train, "--train_dir"),
        (mnist_compression, "--data-dir"),
        (cifar10_eval, "--checkpoint_dir"),
        (cifar10_eval, "--eval_dir"),
        (language_model, "--train_dir"),
    ],
)
def test_an_empty_name_of_a_directory_is_refused(capsys, command, flag):
    with pytest.raises(SystemExit):
        command.main([f"{flag}="])
    assert "it is empty; wanted a directory, or . for this one" in capsys.readouterr().err
