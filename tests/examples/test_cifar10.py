import json
import signal
import time

import numpy as np
import pytest
from cifar10 import cifar10_compression, cifar10_eval, cifar10_train
from command_line import hparams_of
from training import FINAL, load_snapshot

from nncompress.errors import InputError, OutputError
from nncompress.matrix import compress_chain
from nncompress.runs.trainer_snapshots import read_trainer_snapshot, trainer_snapshots

QUICK = (
    "begin_compression_step=2,end_compression_step=90,compression_frequency=1,"
    "alpha_decrement_value=0.2,rank=2000"
)


@pytest.fixture
def train(cifar_folder, tmp_path, capsys):
    """Trains on the small files in the format of CIFAR-10, and returns what it printed."""

    def run(steps, *arguments, out="run"):
        cifar10_train.main([
            f"--max_steps={steps}", f"--data_dir={cifar_folder}", f"--train_dir={tmp_path / out}",
            f"--compression_hparams={QUICK}", "--batch_size=4", *arguments,
        ])  # fmt: skip
        return capsys.readouterr().out

    return run


@pytest.fixture
def evaluate(cifar_folder, tmp_path, capsys):
    """Evaluates once, and returns the accuracy and what was printed."""

    def run(*arguments):
        accuracy = cifar10_eval.main([
            "--run_once", f"--data_dir={cifar_folder}", f"--checkpoint_dir={tmp_path / 'run'}",
            f"--eval_dir={tmp_path / 'eval'}", *arguments,
        ])  # fmt: skip
        return accuracy, capsys.readouterr().out

    return run


@pytest.fixture
def watch(cifar_folder, tmp_path, capsys, monkeypatch):
    """Evaluates new models while things are done, and returns what it printed before each."""

    class Enough(Exception):
        pass

    def run(todo):
        shown, todo = [], iter(todo)

        def sleep(seconds):
            assert seconds == 7.0
            shown.append(capsys.readouterr().out)
            work = next(todo, None)
            if work is None:
                raise Enough
            work()

        monkeypatch.setattr(cifar10_eval.time, "sleep", sleep)
        with pytest.raises(Enough):
            cifar10_eval.main([
                f"--data_dir={cifar_folder}", f"--checkpoint_dir={tmp_path / 'run'}",
                f"--eval_dir={tmp_path / 'eval'}", "--eval_interval_secs=7",
            ])  # fmt: skip
        return shown

    return run


def evaluated(text):
    """Returns the names of the models that a printed text has the accuracy of."""
    lines = [line for line in text.splitlines() if "accuracy on" in line]
    return [line.split(": ")[1].split(",")[0] for line in lines]


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def names(directory):
    return sorted(path.name for path in directory.glob("*.npz"))


def test_cifar10_is_trained_on_compressed_and_evaluated(train, evaluate, tmp_path):
    printed = train(9, "--log_frequency=2", "--save_every=4")
    assert printed.startswith("Training on CIFAR-10: 40 images, 24 x 24 cropped at random\n")
    assert [line.split("step ")[1].split(",")[0] for line in printed.splitlines()
            if "sec/batch" in line] == ["2", "4", "6", "8", "9"]  # fmt: skip
    assert "alpha = 0.4" in printed
    assert "384 x 2304" in printed
    run = tmp_path / "run"
    assert names(run) == [FINAL, *(f"trainer_snapshot_{step}.npz" for step in (0, 4, 8, 9))]
    assert {"accuracy.png", "loss.png"} <= {path.name for path in run.iterdir()}
    log = json.loads((run / "log").read_text())
    assert [entry["iteration"] for entry in log] == [2, 4, 6, 8, 9]
    assert log[1]["alpha"] == pytest.approx(0.4)
    accuracy, shown = evaluate()
    assert f"{FINAL}, step 9: accuracy on 8 images (test): {accuracy:.4f}" in shown
    assert printed.splitlines()[-1] == f"Accuracy on the 8 test images: {accuracy:.4f}"


@pytest.mark.usefixtures("without_plots")
def test_a_run_that_is_killed_goes_on_as_it_would_have(train, start, cifar_folder, tmp_path):
    train(8, out="whole")
    killed = start(
        "cifar10/cifar10_train.py", "--max_steps=8", f"--data_dir={cifar_folder}",
        f"--train_dir={tmp_path / 'run'}", f"--compression_hparams={QUICK}", "--batch_size=4",
        "--save_every=1",
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "trainer_snapshot_3.npz").exists():
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    steps = int(trainer_snapshots(tmp_path / "run")[0].stem.rpartition("_")[2])
    assert f"Continuing from step {steps}\n" in train(8, "--resume")
    for name in (FINAL, "trainer_snapshot_8.npz"):
        whole, resumed = (dict(np.load(tmp_path / out / name)) for out in ("whole", "run"))
        assert whole.keys() == resumed.keys()
        for key in whole:
            if not any(part in key for part in ("Log", "sha256", "elapsed_time", ".png")):
                np.testing.assert_array_equal(whole[key], resumed[key], err_msg=key)


@pytest.mark.usefixtures("without_plots")
def test_a_model_that_is_evaluated_has_the_moving_averages(train, evaluate, tmp_path):
    train(3)
    path = tmp_path / "run" / "trainer_snapshot_3.npz"
    arrays = read_trainer_snapshot(path)
    model = cifar10_compression.Cifar10Network(3, 24)
    hparams = hparams_of(cifar10_compression.DEFAULT_HPARAMS["cifar10"], QUICK)
    compress_chain(model, hparams, cifar10_compression.MATCH)
    assert load_snapshot(arrays, path, model) == 3
    for name in ("conv1/W", "local4/b"):
        average = arrays[f"extensions/moving_averages/{name}"]
        assert not (average == arrays[f"updater/model:main/predictor/{name}"]).all()
        link, parameter = name.split("/")
        assert (getattr(model[link], parameter).array == average).all()


@pytest.mark.usefixtures("without_plots")
def test_each_new_model_is_evaluated_as_it_comes(train, watch, tmp_path):
    shown = watch([
        lambda: None,
        lambda: train(2, "--save_every=1"),
        lambda: None,
        lambda: train(8, "--save_every=3", "--resume"),
        lambda: None,
    ])  # fmt: skip
    assert shown[0].startswith("Waiting for models in ")
    snapshots = [f"trainer_snapshot_{step}.npz" for step in range(9)]
    later = [snapshots[3], snapshots[6], snapshots[8], FINAL]
    assert [evaluated(text) for text in shown] == [[], [], snapshots[:3], [], later, []]
    log = json.loads((tmp_path / "eval" / "evaluations.json").read_text())
    assert [entry["step"] for entry in log] == [0, 1, 2, 3, 6, 8, 8]
    assert log[-1]["accuracy"] == log[-2]["accuracy"]  # the same model, finalized
    assert (tmp_path / "eval" / "evaluations.png").is_file()


@pytest.mark.usefixtures("without_plots")
def test_the_flags_of_the_original_mean_what_they_meant(train, evaluate, tmp_path, cifar_folder):
    printed = train(1, "--log_device_placement", "--use_fp16=False")
    assert "conv1/W: @numpy" in printed
    assert "@numpy" not in train(1, "--log_device_placement=false", out="other")
    with pytest.raises(InputError, match="--use_fp16 is not supported"):
        train(1, "--use_fp16", out="third")
    assert not (tmp_path / "third").exists()
    _, shown = evaluate("--num_examples=5", "--global_step=77")
    assert "step 77: accuracy on 5 images (test)" in shown
    assert "step 1: accuracy on 40 images (train_eval)" in evaluate("--eval_data=train_eval")[1]
    log = json.loads((tmp_path / "eval" / "evaluations.json").read_text())
    assert [(entry["step"], entry["num_examples"], entry["eval_data"]) for entry in log] == [
        (77, 5, "test"), (1, 40, "train_eval"),
    ]  # fmt: skip
    evaluate(f"--compression_hparams={QUICK}", "--data=cifar10")
    for arguments, message in (
        (["--num_examples=9"], "--num_examples is 9; wanted 1 to 8"),
        (
            ["--compression_hparams=rank=100"],
            r"alpha_decrement_value is 0.005 in --compression_hparams, but 0.2 in the run",
        ),
        (["--data=digits"], "trains on cifar10; wanted the same"),
        (["--eval_interval_secs=-1"], "secs is -1; wanted 0 to"),
        (["--eval_interval_secs=nan"], "secs is nan; wanted 0 to"),
        (["--eval_interval_secs=1e300"], r"secs is 1e\+300; wanted 0 to"),
        (["--global_step=-5"], "--global_step is -5; wanted 0 or more"),
        ([f"--checkpoint_dir={tmp_path}"], "has no snapshot; train with cifar10_train.py first"),
        ([f"--checkpoint_dir={tmp_path / 'none'}"], "has no snapshot"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(*arguments)
    (tmp_path / "eval" / "evaluations.json").write_text("[1]")
    with pytest.raises(InputError, match="not a log of evaluations"):
        evaluate()


@pytest.mark.usefixtures("without_plots")
def test_a_run_is_neither_overwritten_nor_gone_on_with_as_another(train, tmp_path):
    with pytest.raises(InputError, match="has no run to continue"):
        train(2, "--resume")
    train(2)
    for snapshot in trainer_snapshots(tmp_path / "run"):
        snapshot.unlink()  # as of a run that was killed before it had one
    assert "Continuing" not in train(2, "--resume")
    before = names(tmp_path / "run")
    for steps, arguments, message in (
        (3, [], r"already has a run of 2 steps; continue it \(--resume\)"),
        (3, ["--resume", "--batch_size=8"], "batch_size is 8, but the run .* with 4"),
        (3, ["--resume", "--seed=1"], "seed is 1, but the run .* with 0"),
        (3, ["--resume", "--data=digits"], "data is 'digits', but the run .* 'cifar10'"),
        (3, ["--resume", "--compression_hparams=rank=9"], "compression_hparams is "),
        (1, ["--resume"], "has already made 2 steps"),
    ):
        with pytest.raises(InputError, match=message):
            train(steps, *arguments)
        assert names(tmp_path / "run") == before
    (tmp_path / "run" / "settings.json").write_text("[")
    with pytest.raises(InputError, match="does not contain a run's settings"):
        train(3, "--resume")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a directory"):
        train(1, out="file")


def test_where_cifar10_is_missing_one_line_says_how_to_get_it_and_the_status_is_2(start):
    process = start("cifar10/cifar10_train.py")
    printed, said = process.communicate()
    assert (process.returncode, printed) == (2, "")
    assert said == (
        "cifar10_train.py: error: data/cifar-10-binary.tar.gz does not exist; get it with "
        "scripts/download_images.sh cifar10, or use scikit-learn's digits, which need no "
        "download, with --data digits\n"
    )


def test_digits_are_trained_on_where_they_are_asked_for(tmp_path, capsys):
    cifar10_train.main(
        ["--data", "digits", "--max-steps=2", f"--train-dir={tmp_path}", "--batch-size=8"]
    )
    printed = capsys.readouterr().out
    assert printed.startswith("Training on scikit-learn's digits: 1,400 images, 8 x 8\n")
    assert (
        "Alpha is 1 after step 2, so the matrices are still there and final.npz is not written; "
        "if the ramp goes on, continue with --resume and more --max_steps\n"
    ) in printed
    assert not (tmp_path / FINAL).exists()


@pytest.mark.usefixtures("without_plots")
def test_a_model_of_which_nothing_is_compressed_is_trained_and_evaluated(
    train, evaluate, tmp_path
):
    printed = train(2, "--compression_hparams=compression_option=0")
    assert "Nothing is compressed, because compression_option is 0\n" in printed
    assert not (tmp_path / "run" / FINAL).exists()
    accuracy, _ = evaluate()
    assert printed.splitlines()[-1] == f"Accuracy on the 8 test images: {accuracy:.4f}"


@pytest.mark.usefixtures("without_plots")
def test_a_damaged_snapshot_gives_way_to_that_of_the_run_that_goes_on(train, tmp_path):
    train(3, "--save_every=1")
    newest = tmp_path / "run" / "trainer_snapshot_3.npz"
    damage(newest)
    with pytest.warns(UserWarning, match=r"continuing from .*trainer_snapshot_2\.npz"):
        assert "Continuing from step 2\n" in train(3, "--resume")
    assert int(read_trainer_snapshot(newest)["updater/iteration"]) == 3


@pytest.mark.usefixtures("without_plots")
def test_a_damaged_snapshot_is_passed_over_with_one_line_where_models_are_waited_for(
    train, watch, evaluate, tmp_path
):
    train(2, "--save_every=1")
    damage(tmp_path / "run" / "trainer_snapshot_1.npz")
    with pytest.warns(UserWarning, match=r"trainer_snapshot_1\.npz.* skipped") as warned:
        shown = watch([lambda: None])
    assert len(warned) == 1
    assert evaluated(shown[0]) == ["trainer_snapshot_0.npz", "trainer_snapshot_2.npz"]
    assert shown[1] == ""
    damage(tmp_path / "run" / "trainer_snapshot_2.npz")
    with pytest.raises(InputError, match=r"trainer_snapshot_2\.npz.* undamaged"):
        evaluate()


def test_a_directory_that_evaluations_cannot_be_written_to_is_refused_first(evaluate, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/evaluations\.json cannot be written"):
        evaluate(f"--eval_dir={tmp_path / 'file'}")
