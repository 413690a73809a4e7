import io
import json
import re
import warnings
from datetime import datetime

import numpy as np
import pytest

from nncompress import progress
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import Diverged, InputError
from nncompress.machine import Machine
from nncompress.runs.run import RunChoices, continued_run, new_run
from nncompress.runs.trainer_snapshots import trainer_snapshots
from nncompress.sources import EmbeddingMatrix
from nncompress.training.validation import Validation

SMALL = ["--M", "4", "--K", "8", "-b", "50"]


def train(commands, matrix_path, out, *arguments):
    return commands.train(
        ["--input-matrix", str(matrix_path), "--out", str(out), *SMALL, *map(str, arguments)]
    )


def snapshot_arrays(path):
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def test_a_run_leaves_what_the_design_says(commands, matrix_path, tmp_path, capsys):
    run = train(commands, matrix_path, tmp_path / "out", "-e", "3", "--dir-prefix", "mine")
    assert re.fullmatch(r"\d{8}_\d{6}_mine_seed_0_optim_Adam_tau_0\.1_batch_50_M_4_K_8", run.name)
    files = {path.name for path in run.iterdir()}
    assert files >= {
        "config.json",
        "train.log",
        "chainer_report_iteration.log",
        "chainer_report_epoch.log",
        "loss.png",
        "maxp.png",
        "best.json",
        "trainer_snapshot_0.npz",
        "trainer_snapshot_18.npz",
    }
    snapshots = {name for name in files if re.fullmatch(r"iter_\d+\.npz", name)}
    assert 1 <= len(snapshots) <= 3
    assert not [name for name in files if "tmp" in name or name.startswith(".")]
    assert sorted(snapshot_arrays(run / snapshots.pop())) == sorted(
        ["l1/W", "l1/b", "l2/W", "l2/b", "codebook", "centre", "scale"]
    )

    config = json.loads((run / "config.json").read_text())
    assert (config["M"], config["K"], config["iterations"]) == (4, 8, 18)
    assert config["input_matrix"] == str(matrix_path.resolve())
    assert config["matrix_shape"] == [300, 12]

    epochs = json.loads((run / "chainer_report_epoch.log").read_text())
    assert [entry["epoch"] for entry in epochs] == [1, 2, 3]
    assert all(np.isfinite(entry["validation/main/loss"]) for entry in epochs)

    log = (run / "train.log").read_text().splitlines()
    for beginning in (
        "Command",
        "Host",
        "Working directory",
        "Python",
        "numpy",
        "chainer",
        "cupy",
    ):
        assert any(re.search(rf"\] {beginning}: ", line) for line in log), beginning
    assert any("Hyperparameters: " in line for line in log)
    for line, pattern in zip(
        log[-4:],
        [
            r"\] Training complete!!$",
            r"\] EXIT TIME: \d{8} - \d\d:\d\d:\d\d$",
            r"\] Duration: \d+:\d\d:\d\d\.\d+$",
            rf"\] Remember: log is saved in {re.escape(str(run.resolve()))}$",
        ],
        strict=True,
    ):
        assert re.search(pattern, line)
    header = re.compile(
        r"epoch +iteration +main/loss +validation/main/loss +main/maxp +validation/main/maxp"
    )
    assert header.search(capsys.readouterr().out)


def test_the_name_of_a_run_is_the_ports_with_the_recipe_where_it_is_not_the_default(
    commands, matrix_path, tmp_path
):
    run = train(commands, matrix_path, tmp_path, "-e", "1", "--recipe", "authors")
    assert run.name.endswith("_optim_Adam_tau_1.0_batch_50_recipe_authors_M_4_K_8")


def test_the_validation_shown_at_an_iteration_is_the_one_measured_there(
    commands, matrix, matrix_path, tmp_path, capsys
):
    """The last entry's window has a validation at the end of each of 33 epochs."""
    run = train(commands, matrix_path, tmp_path, "-e", "200")
    printed = capsys.readouterr().out
    config = json.loads((run / "config.json").read_text())
    chain = FusedAutoencoder(12, 4, 8)
    snapshot = trainer_snapshots(run)[0]
    chainer.serializers.load_npz(str(snapshot), chain, path="updater/model:main/")
    validation = Validation(EmbeddingMatrix(matrix), chain, config["tau"], Machine())
    reporter = chainer.Reporter()
    reporter.add_observer("main", chain)
    with reporter:
        measured = validation.evaluate()

    entry = json.loads((run / "chainer_report_iteration.log").read_text())[-1]
    assert entry["iteration"] == config["iterations"] == 1200
    arrays = snapshot_arrays(snapshot)
    for quantity in ("loss", "maxp"):
        expected = pytest.approx(measured[f"main/{quantity}"], rel=1e-6)
        key = f"validation/main/{quantity}"
        assert entry[key] == expected
        plotted = str(arrays[f"extensions/PlotReport_{quantity}/_plot_{quantity}.png"])
        assert json.loads(plotted)[key][-1] == [1200, expected]
    row = printed.splitlines()[-1].split()
    assert row[:2] == ["200", "1200"]
    assert float(row[3]) == pytest.approx(measured["main/loss"], rel=1e-5)


def test_without_a_terminal_nothing_is_printed_that_only_a_terminal_understands(
    process, matrix_path, tmp_path
):
    result = process("train_comp.py", "--input-matrix", matrix_path, *SMALL, "-e", "3")
    assert result.returncode == 0
    assert "\x1b" not in result.stdout + result.stderr
    assert "inf " not in result.stdout
    first, *_, last = result.stderr.splitlines()
    assert re.fullmatch(
        r"training 300 x 12 with M=4 K=8, 18 steps; log: (result/.*)/train.log", first
    )
    assert re.fullmatch(r"best loss [\d.]+ at step \d+; the run is in result/.*", last)
    assert not re.search(r"\[I |EXIT TIME|Hyperparameters|Git", result.stderr)
    heading, row = result.stdout.splitlines()
    assert heading.startswith("epoch ")
    assert row.split()[:2] == ["3", "18"]


def test_a_terminal_has_the_table_of_losses_and_a_line_with_the_time_left(
    commands, matrix_path, tmp_path, monkeypatch
):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    out, err = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr(progress, "_REDRAWN", 0.002)
    run = train(commands, matrix_path, tmp_path, "-e", "200")
    heading, *rows = out.getvalue().splitlines()
    assert heading.split()[:3] == ["epoch", "iteration", "main/loss"]
    assert [row.split()[1] for row in rows] == ["1000", "1200"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out.getvalue())
    assert re.search(r"\rtraining +\d+%\|.{24}\| ~?\d\d:\d\d left", err.getvalue())
    assert "infer_comp.py" in err.getvalue()
    assert run.name in err.getvalue()


def test_two_runs_of_one_second_have_their_own_directories(commands, matrix_path, tmp_path):
    runs = {train(commands, matrix_path, tmp_path, "-e", "1") for _ in range(3)}
    assert len(runs) == 3


def test_the_reported_loss_is_in_the_units_of_the_matrix(commands, matrix, tmp_path):
    np.save(tmp_path / "big.npy", 1000 * matrix)
    np.save(tmp_path / "small.npy", matrix)
    losses = []
    for name in ("big", "small"):
        run = train(commands, tmp_path / f"{name}.npy", tmp_path, "-e", "10")
        log = json.loads((run / "chainer_report_epoch.log").read_text())
        losses.append(log[-1]["validation/main/loss"])
    assert losses[0] == pytest.approx(1e6 * losses[1], rel=1e-2)


@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_a_seed_makes_a_run_reproducible(commands, matrix_path, tmp_path, recipe):
    runs = [
        train(commands, matrix_path, tmp_path, "-e", "2", "--recipe", recipe, "--seed", seed)
        for seed in (1, 1, 2)
    ]
    first, same, other = (snapshot_arrays(trainer_snapshots(run)[0]) for run in runs)
    key = "updater/model:main/codebook"
    assert (first[key] == same[key]).all()
    assert not (first[key] == other[key]).all()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--recipe", "paper"],
        ["--recipe", "paper", "-O", "SGD", "--lr", "0.01", "--max-grad-norm", "0.5"],
    ],
)
def test_a_resumed_run_repeats_an_uninterrupted_one(commands, matrix_path, tmp_path, arguments):
    whole = train(commands, matrix_path, tmp_path / "a", "-e", "7", *arguments)
    part = train(commands, matrix_path, tmp_path / "b", "-e", "3", *arguments)
    resumed = commands.train(["--resume", str(part), "-e", "7"])
    assert resumed == part
    expected = snapshot_arrays(trainer_snapshots(whole)[0])
    found = snapshot_arrays(trainer_snapshots(part)[0])
    for key in expected:
        if key.startswith("updater/"):
            assert (expected[key] == found[key]).all(), key
    logs = [json.loads((run / "chainer_report_epoch.log").read_text()) for run in (whole, part)]
    losses = [[entry["validation/main/loss"] for entry in log] for log in logs]
    assert len(losses[0]) == 7
    assert losses[0] == losses[1]


def test_a_killed_run_resumes_to_the_same_result(commands, matrix_path, tmp_path, monkeypatch):
    """The fast recipe's schedules span the whole run, so it is cut short from outside."""
    from nncompress.training.fused_updater import FusedUpdater

    arguments = ["-e", "7", "--snapshot-every", "5"]
    whole = train(commands, matrix_path, tmp_path / "a", *arguments)
    original = FusedUpdater.update

    def killed(self):
        if self.iteration > 20:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(FusedUpdater, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        train(commands, matrix_path, tmp_path / "b", *arguments)
    monkeypatch.setattr(FusedUpdater, "update", original)
    (part,) = (tmp_path / "b").iterdir()
    commands.train(["-r", str(trainer_snapshots(part)[0])])

    expected = snapshot_arrays(trainer_snapshots(whole)[0])
    found = snapshot_arrays(trainer_snapshots(part)[0])
    assert expected.keys() == found.keys()
    for key in expected:
        if key.startswith("updater/"):
            assert (expected[key] == found[key]).all(), key
    models = [{path.name for path in run.glob("iter_*.npz")} for run in (whole, part)]
    assert models[0] == models[1]
    for name in models[0]:
        for key, array in snapshot_arrays(whole / name).items():
            assert (array == snapshot_arrays(part / name)[key]).all()

    def without_time(run):
        log = json.loads((run / "chainer_report_epoch.log").read_text())
        return [{k: v for k, v in entry.items() if k != "elapsed_time"} for entry in log]

    assert [sorted(entry) for entry in without_time(whole)] == [
        sorted(entry) for entry in without_time(part)
    ]
    for one, other in zip(without_time(whole), without_time(part), strict=True):
        assert one == pytest.approx(other, rel=1e-6)


def test_the_number_of_threads_changes_nothing(commands, matrix_path, tmp_path):
    runs = [
        train(commands, matrix_path, tmp_path, "-e", "5", "--threads", threads)
        for threads in (1, 2, 3)
    ]
    first, *others = (snapshot_arrays(trainer_snapshots(run)[0]) for run in runs)
    for other in others:
        for key in first:
            if key.startswith("updater/"):
                assert (first[key] == other[key]).all(), key


def test_resuming_with_other_settings_is_refused(commands, matrix_path, matrix, tmp_path):
    run = train(commands, matrix_path, tmp_path / "a", "-e", "2")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    for arguments, message in [
        (["--lr", "0.5"], "learning_rate is 0.5, and the run in .* has 0.005"),
        (["--K", "9"], "K is 9, and the run in .* has 8"),
        (["--input-matrix", "other.npy"], "input_matrix is .*other.npy"),
        (["-e", "1"], "has already made 12 steps"),
        (["--out", "elsewhere"], "the run continues in .*; leave out --out"),
        (["-g", "-2"], "the GPU's number is -2"),
    ]:
        with pytest.raises(InputError, match=message):
            commands.train(["--resume", str(run), *arguments])
    config = json.loads(before["config.json"])
    del config["matrix_shape"]
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has no 'matrix_shape'"):
        commands.train(["--resume", str(run)])
    (run / "config.json").write_bytes(before["config.json"])
    np.save(matrix_path, matrix[:100])
    with pytest.raises(InputError, match=r"has shape \(100, 12\) now"):
        commands.train(["--resume", str(run)])
    with pytest.raises(InputError, match="wanted a run directory"):
        commands.train(["--resume", str(tmp_path)])
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def hard_matrices():
    random = np.random.default_rng(1)
    norms = np.logspace(-3, 3, 400)[:, None]
    return {
        "six orders of magnitude": norms * random.normal(size=(400, 8)),
        "one outlier": np.concatenate([random.normal(size=(399, 8)), np.full((1, 8), 1e6)]),
        "constant columns": random.normal(size=(400, 8)) * [0, 0, 1, 1, 0, 1, 0, 0] + 5,
        "constant": np.full((400, 8), 0.1),
        "zero": np.zeros((50, 8)),
        "duplicates": np.repeat(random.normal(size=(3, 8)), 100, axis=0),
        "fewer rows than K": random.normal(size=(3, 8)),
        "one row": random.normal(size=(1, 8)),
        "one column": random.normal(size=(100, 1)),
        "tiny numbers": 1e-15 * random.normal(size=(400, 8)),
    }


@pytest.mark.parametrize("recipe", ["fast", "paper"])
@pytest.mark.parametrize("name", hard_matrices())
def test_no_matrix_makes_training_diverge(commands, tmp_path, name, recipe):
    matrix = hard_matrices()[name].astype(np.float32)
    np.save(tmp_path / "m.npy", matrix)
    epochs = 400 * 50 // max(50, len(matrix))
    run = train(commands, tmp_path / "m.npy", tmp_path, "-e", epochs, "--recipe", recipe)
    commands.infer(["--model", str(run)])
    (codes_path,) = run.glob("*.codes")
    codes = np.loadtxt(codes_path, dtype=int, ndmin=2, delimiter=" ")
    one_hot = np.eye(8)[codes].reshape(len(matrix), -1)
    (codebook_path,) = run.glob("*.codebook.npy")
    squares = ((matrix - one_hot @ np.load(codebook_path)) ** 2).sum(axis=1)
    # A codebook of zeros has this error.
    assert squares.mean() <= 1.02 * (matrix.astype(np.float64) ** 2).sum(axis=1).mean() + 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--M", "0"], "M is 0; wanted"),
        (["--K", "1"], "K is 1; wanted"),
        (["--tau", "-1"], "tau is -1.0; wanted"),
        (["-b", "0"], "batch size is 0; wanted"),
        (["--limit", "0"], "limit on rows is 0; wanted"),
        (["-g", "5"], "GPU 5 was requested"),
        (["--threads", "0"], "number of threads is 0; wanted"),
        (["--input-matrix", "none.npy"], "none.npy does not exist; wanted"),
        (["--out", "m.npy"], "m.npy is not a directory"),
    ],
)
def test_mistakes_are_one_line_and_status_2_and_leave_nothing(
    process, matrix, tmp_path, arguments, message
):
    np.save(tmp_path / "m.npy", matrix)
    result = process("train_comp.py", "--input-matrix", "m.npy", *arguments)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("train_comp.py: error: ")
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["m.npy"]


def test_the_missing_default_matrix_comes_with_how_to_get_it(process):
    result = process("train_comp.py")
    assert result.returncode == 2
    assert "download_glove_data.sh" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_weights_have_a_column_of_their_own_and_survive_a_resumed_run(
    commands, matrix, matrix_path, tmp_path, capsys
):
    weights = tmp_path / "weights.txt"
    weights.write_text("".join(f"{1 + 50 * (row < 30)}\n" for row in range(300)))
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    flags = ["--weights", weights, "--recipe", "paper"]
    run = train(commands, matrix_path, whole, "-e", "4", *flags)
    assert "weighted_loss" in capsys.readouterr().out
    (entry, *_) = json.loads((run / "chainer_report_epoch.log").read_text())
    assert entry["main/weighted_loss"] != entry["main/loss"]
    assert entry["validation/main/weighted_loss"] != entry["validation/main/loss"]
    assert json.loads((run / "config.json").read_text())["weights"] == str(weights)

    part = train(commands, matrix_path, halved, "-e", "2", *flags)
    commands.train(["--resume", str(part), "-e", "4"])
    one, other = (snapshot_arrays(trainer_snapshots(directory)[0]) for directory in (run, part))
    for name in ("updater/model:main/codebook", "updater/model:main/l1/W"):
        assert (one[name] == other[name]).all()

    commands.infer(["--model", str(run), "--refine"])
    (log,) = run.glob("inference_*.log")
    assert "Weighted loss after each round" in log.read_text()


def test_the_cosine_objective_forgets_lengths(commands, matrix, tmp_path):
    """Rows of very different lengths: directions come back better than with the distance."""
    lengths = np.logspace(-3, 3, len(matrix), dtype=np.float32)[:, None]
    np.save(tmp_path / "uneven.npy", matrix * lengths)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = {}
    for objective in ("distance", "cosine"):
        run = train(
            commands, tmp_path / "uneven.npy", tmp_path / objective, "-e", "30",
            "--objective", objective,
        )  # fmt: skip
        commands.infer(["--model", str(run)])
        (codes,), (codebook,) = run.glob("*.codes"), run.glob("*.codebook.npy")
        decoded = np.eye(8)[np.loadtxt(codes, dtype=int)].reshape(300, -1) @ np.load(codebook)
        sizes = np.linalg.norm(decoded, axis=1)
        cosines[objective] = ((unit * decoded).sum(axis=1) / sizes).mean()
    assert sizes.mean() == pytest.approx(1, abs=0.05)
    assert cosines["cosine"] > 0.95
    assert cosines["cosine"] > cosines["distance"] + 0.2
    with pytest.raises(InputError, match="objective is distance, and the run"):
        commands.train(["--resume", str(run), "--objective", "distance"])


def test_a_target_chooses_the_size_and_shows_its_curve(commands, matrix_path, tmp_path, capsys):
    out = tmp_path / "out"
    run = commands.train(
        ["--input-matrix", str(matrix_path), "--out", str(out), "-e", "1",
         "--target-bytes-per-row", "12"]
    )  # fmt: skip
    printed = capsys.readouterr().out
    config = json.loads((run / "config.json").read_text())
    assert f"Chosen: M={config['M']}, K={config['K']}" in printed
    sizes = [point["bytes_per_row"] for point in config["rate_distortion"]]
    assert sizes == sorted(sizes)
    assert max(sizes) <= 12
    assert (run / "plots" / "rate_distortion.png").stat().st_size > 1_000
    with pytest.raises(InputError, match="leave -M and -K out"):
        train(commands, matrix_path, out, "--target-distance", "1")


def test_a_tau_alone_says_that_annealing_is_off(commands, matrix_path, tmp_path):
    with pytest.warns(UserWarning, match=r"--tau alone keeps the temperature at 0\.5"):
        train(commands, matrix_path, tmp_path, "-e", "1", "--tau", "0.5")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "--tau alone")
        train(commands, matrix_path, tmp_path, "-e", "1", "--tau", "0.5", "--tau-start", "1")
        train(commands, matrix_path, tmp_path, "-e", "1", "--tau", "0.5", "--recipe", "paper")


def test_the_scripts_function_takes_an_optimizer_and_extensions(commands, matrix_path, tmp_path):
    seen = []

    @chainer.training.make_extension(trigger=(1, "epoch"))
    def watch(trainer):
        seen.append(trainer.updater.iteration)

    run = commands.train(
        ["--input-matrix", str(matrix_path), "--out", str(tmp_path), *SMALL, "-e", "3"],
        optimizer=chainer.optimizers.Adam(1e-3),
        extensions=[watch],
    )
    assert seen == [6, 12, 18]
    assert list(run.glob("iter_*.npz"))


def test_a_run_that_goes_on_still_ends_with_its_best_model(commands, matrix_path, tmp_path):
    run = train(commands, matrix_path, tmp_path, "-e", "3")
    best = max(run.glob("iter_*.npz"), key=lambda path: int(path.stem[5:]))
    session = continued_run(run, RunChoices()).session  # it has no step to make
    session.chain.codebook.array[...] = 0.0
    learned = session.run()
    assert learned.iteration == int(best.stem[5:])
    assert (learned.chain.codebook.array == snapshot_arrays(best)["codebook"]).all()


def test_losses_are_numbers_where_their_squares_leave_float32(commands, matrix, tmp_path):
    np.save(tmp_path / "m.npy", np.ldexp(matrix, 100))
    run = train(commands, tmp_path / "m.npy", tmp_path / "out", "-e", "2")
    for entry in json.loads((run / "chainer_report_epoch.log").read_text()):
        assert 1e58 < entry["main/loss"] < 1e64
        assert 1e58 < entry["validation/main/loss"] < 1e64


def test_a_run_that_diverges_ends_with_status_3_and_its_last_good_model(
    process, commands, matrix_path, tmp_path
):
    arguments = ["--input-matrix", matrix_path, *SMALL, "-e", "3", "--lr", "1e30"]
    ended = process("train_comp.py", *arguments, "--out", tmp_path / "out")
    assert ended.returncode == 3
    (run,) = (tmp_path / "out").iterdir()
    line = ended.stderr.splitlines()[-1]
    assert re.match(r"train_comp.py: error: training has diverged: .*; no model was saved; ", line)
    assert "Traceback" not in ended.stderr
    assert not list(run.glob("iter_*"))
    assert "training has diverged" in (run / "train.log").read_text()


def test_a_run_that_diverges_later_names_its_last_good_model(matrix_path, tmp_path):
    choices = RunChoices(
        data={"matrix": matrix_path}, options={"epochs": 3, "batch_size": 50},
        num_codebooks=4, num_codewords=8, out=tmp_path, extensions=[_spoil],
    )  # fmt: skip
    run = new_run(choices, datetime.now())
    with pytest.raises(Diverged, match=rf"; the last good model is {run.directory}/iter_6.npz; "):
        run.train(datetime.now())
    assert [path.name for path in run.directory.glob("iter_*")] == ["iter_6.npz"]
    json.loads(
        (run.directory / "chainer_report_epoch.log").read_text(), parse_constant=pytest.fail
    )


@chainer.training.make_extension(trigger=(1, "epoch"), priority=-1)
def _spoil(trainer):
    trainer.updater.chain.codebook.array[:] = np.nan


def test_a_run_worse_than_the_mean_row_says_so(commands, matrix_path, tmp_path):
    arguments = ["-e", "3", "--recipe", "paper", "--lr", "1e6"]
    with pytest.warns(UserWarning, match="the result is worse than the mean row alone"):
        run = train(commands, matrix_path, tmp_path / "out", *arguments)
    with pytest.warns(UserWarning, match="the result is worse than the mean row alone"):
        commands.infer(["--model", str(run)])
