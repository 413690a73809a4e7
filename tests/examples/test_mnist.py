import pytest
from mnist import mnist_compression

from nncompress.errors import InputError

QUICK = (
    "--compression_hparams=begin_compression_step=2,compression_frequency=1,"
    "alpha_decrement_value=0.25,compression_option=1,rank=400"
)


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize(
    ("flags", "layers", "last"),
    [
        ([], ["conv1", "conv2", "conv3", "dense1"], "logits"),
        (["--nouse_lennet"], ["layer_1", "layer_2"], None),
        (["--use_lennet=False"], ["layer_1", "layer_2"], None),
    ],
)
def test_both_networks_are_trained_on_mnist_and_compressed(
    mnist, tmp_path, capsys, flags, layers, last
):
    directory, _ = mnist
    arguments = [
        *flags,
        QUICK,
        "--batch_size=16",
        f"--train_dir={tmp_path / 'run'}",
        f"--data_dir={directory}",
    ]
    mnist_compression.main(["--max_steps=7", "--log_frequency=3", *arguments])
    printed = capsys.readouterr().out
    assert printed.startswith("Training on MNIST: 70 images, 28 x 28\n")
    for layer in layers:
        assert f"\n{layer} " in printed
    assert f"\n{last} " not in printed
    assert "test accuracy = " in printed
    assert (tmp_path / "run" / "final.npz").is_file()
    mnist_compression.main(["--max_steps=8", "--resume", *arguments])
    assert "Continuing from step 7\n" in capsys.readouterr().out


@pytest.mark.usefixtures("without_plots")
def test_one_network_does_not_go_on_with_the_run_of_the_other(tmp_path):
    arguments = ["--data=digits", f"--train_dir={tmp_path}"]
    mnist_compression.main([*arguments, "--max_steps=1", "--nouse_lennet"])
    with pytest.raises(InputError, match=r"use_lennet is True, but the run .* with False"):
        mnist_compression.main([*arguments, "--max_steps=2", "--resume"])


def test_mistakes_are_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        ([], r"scripts/download_images.sh mnist, or use .* --data digits"),
        (["--data=digits", "--compression_hparams=rnak=3"], "no hyperparameter 'rnak'"),
        (["--data=digits", "--batch_size=2000"], "the batch size is 2000; wanted 1 to 1,400"),
    ):
        with pytest.raises(InputError, match=message):
            mnist_compression.main(arguments)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--use_lennet=perhaps", "it is 'perhaps'; wanted True or False"),
        ("--save_every=soon", "the time between trainer snapshots is 'soon'; wanted seconds"),
        ("--data=cifar10", "invalid choice"),
    ],
)
def test_values_of_flags_that_are_none_are_refused(capsys, flag, message):
    with pytest.raises(SystemExit) as caught:
        mnist_compression.main([flag])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
