import json
import shutil
import warnings

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.errors import OutputError
from nncompress.formats import rescue
from nncompress.refinement import room
from nncompress.runs import decoding
from nncompress.runs.best_file import best_snapshot, read_best, snapshot_name, write_best


@pytest.fixture
def run(commands, matrix_path, tmp_path):
    return commands.train(
        [
            *("--input-matrix", str(matrix_path), "--out", str(tmp_path / "out")),
            *("--M", "4", "--K", "8", "-e", "30", "--limit", "200"),
        ]
    )


def read_codes(path):
    lines = [line.rpartition("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [token for token, _, _ in lines], np.array([line[2].split() for line in lines], int)


def check_distance(matrix, codes, codebook, reported):
    one_hot = np.eye(8)[codes].reshape(len(codes), -1)
    exact = np.linalg.norm(matrix - one_hot @ codebook.astype(np.float64), axis=1).mean()
    assert reported == pytest.approx(exact, rel=1e-5)


def test_files_alone_give_the_reported_distance(commands, run, matrix, tmp_path, capsys):
    words = [f"w{i} é" for i in range(300)]
    (tmp_path / "v.word").write_text("\n".join(words) + "\n", encoding="utf-8")
    distance = commands.infer(["--model", str(run), "--vocab-path", str(tmp_path / "v.word")])
    snapshot = best_snapshot(run)
    tokens, codes = read_codes(run / f"{snapshot.name}.codes")
    codebook = np.load(run / f"{snapshot.name}.codebook.npy")
    assert tokens == words
    assert codes.shape == (300, 4)
    assert codebook.shape == (32, 12)
    check_distance(matrix, codes, codebook, distance)
    assert f"Mean euclidean distance: {distance:.9g}" in capsys.readouterr().out
    log = (run / f"inference_{snapshot.name}.log").read_text()
    assert f"Mean euclidean distance: {distance:.9g}" in log
    check_embedding(run / f"{snapshot.name}.nnc", words, codes, codebook, matrix)


def check_embedding(path, words, codes, codebook, matrix):
    embedding = CompressedEmbedding.load(path, verify=True)
    assert list(embedding) == words
    assert (embedding.table.codes(slice(None)) == codes).all()
    assert (embedding.table.codebook == codebook.astype(embedding.table.codebook.dtype)).all()
    assert embedding.provenance["recipe"] == "fast"
    assert embedding.provenance["source_shape"] == [300, 12]
    loss = 0.5 * ((matrix - embedding.to_numpy().astype(np.float64)) ** 2).sum(axis=1).mean()
    assert embedding.provenance["loss"] == pytest.approx(loss, rel=1e-5)


def test_files_that_cannot_be_written_are_kept_elsewhere(commands, run, tmp_path, monkeypatch):
    snapshot = best_snapshot(run)
    write = decoding.write_codes

    def full(path, *arguments):
        if path.parent.parent == run:
            raise OSError(28, "No space left on device")
        write(path, *arguments)

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(rescue.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setattr(decoding, "write_codes", full)
    with pytest.raises(OutputError, match=r"cannot be written: No space .*; what was computed is"):
        commands.infer(["--model", str(run)])
    assert not list(run.glob("*.nnc"))
    monkeypatch.setattr(decoding, "write_codes", write)
    commands.infer(["--model", str(run)])
    (kept,) = (tmp_path / "tmp").iterdir()
    for path in kept.iterdir():
        assert path.read_bytes() == (run / path.name).read_bytes()
    assert len(list(kept.glob(f"{snapshot.name}.*"))) == 3


def test_refinement_is_on_for_the_fast_recipe_and_lowers_the_loss(commands, run, matrix):
    snapshot = best_snapshot(run)

    def decode(*flags):
        commands.infer(["--model", str(run), *flags])
        _, codes = read_codes(run / f"{snapshot.name}.codes")
        codebook = np.load(run / f"{snapshot.name}.codebook.npy")
        return codes, ((matrix - np.eye(8)[codes].reshape(300, -1) @ codebook) ** 2).sum()

    default, error = decode()
    assert (default == decode("--refine")[0]).all()
    plain, plain_error = decode("--no-refine")
    assert (plain != default).any()
    assert error < plain_error


def test_a_codebook_too_large_to_refine_is_decoded_as_trained(commands, run, monkeypatch):
    commands.infer(["--model", str(run), "--no-refine"])
    (path,) = run.glob("*.codes")
    plain = path.read_text()
    monkeypatch.setattr(room, "free_memory", lambda: 1_000)
    with pytest.warns(UserWarning, match=r"bytes of memory, but 1,000 are free: codes"):
        commands.infer(["--model", str(run)])
    assert path.read_text() == plain
    with pytest.raises(InputError, match="but 1,000 are free; wanted a smaller M or K"):
        commands.infer(["--model", str(run), "--refine"])


def test_limit_matrix_and_batchsize(commands, run, matrix, tmp_path):
    np.save(tmp_path / "other.npy", matrix[::-1].astype(">f8"))
    words = [f"w{i}" for i in range(300)]
    (tmp_path / "v.word").write_text("\n".join(words))
    snapshot = best_snapshot(run)
    arguments = [
        "--model",
        str(snapshot),
        "--matrix",
        str(tmp_path / "other.npy"),
        "--limit",
        "70",
    ]
    distance = commands.infer([*arguments, "--vocab-path", str(tmp_path / "v.word")])
    tokens, codes = read_codes(run / f"{snapshot.name}.codes")
    assert tokens == words[:70]
    check_distance(
        matrix[::-1][:70], codes, np.load(run / f"{snapshot.name}.codebook.npy"), distance
    )
    commands.infer([*arguments, "--batchsize", "7"])
    tokens, again = read_codes(run / f"{snapshot.name}.codes")
    assert tokens == [""] * 70
    assert (again == codes).all()


def test_a_snapshot_of_the_2018_port_is_decoded(commands, run, matrix, matrix_path, tmp_path):
    """Without centre and scale, and M and K in the directory's name alone."""
    port = tmp_path / "20180510_224328_model_seed_0_optim_Adam_tau_0.1_batch_64_M_4_K_8"
    port.mkdir()
    with np.load(best_snapshot(run)) as archive:
        arrays = {key: archive[key] for key in archive.files if key not in ("centre", "scale")}
    np.savez_compressed(port / "iter_1211000.npz", **arrays)
    distance = commands.infer(["--model", str(port), "--matrix", str(matrix_path)])
    _, codes = read_codes(port / "iter_1211000.npz.codes")
    check_distance(matrix, codes, arrays["codebook"], distance)
    with pytest.raises(InputError, match="name it with --matrix"):
        commands.infer(["--model", str(port)])
    shutil.move(port, tmp_path / "renamed")
    loose = ["--model", str(tmp_path / "renamed"), "--matrix", str(matrix_path)]
    with pytest.raises(InputError, match="tells M and K; name them with -M and -K"):
        commands.infer(loose)
    with pytest.raises(InputError, match="only one of -M and -K is given"):
        commands.infer([*loose, "-M", "4"])
    assert commands.infer([*loose, "--M", "4", "--K", "8", "-b", "100"]) == distance


def make_port(folder, run, matrix_path):
    """A run directory as the Chainer port of 2018 left it: its files, names and configuration."""
    port = folder / "20180510_224328_model_seed_0_optim_Adam_tau_0.1_batch_64_M_4_K_8"
    port.mkdir()
    with np.load(best_snapshot(run)) as archive:
        arrays = {key: archive[key] for key in archive.files if key not in ("centre", "scale")}
    for iteration in (1_209_000, 1_210_000, 1_211_000):
        np.savez_compressed(port / f"iter_{iteration}.npz", **arrays)
    arguments = {
        "batchsize": 64, "epoch": 200, "gpu": 0, "resume": "", "optimizer": "Adam",
        "learning_rate": 0.0001, "n_codebooks": 4, "n_centroids": 8, "tau": 0.1,
        "input_matrix": str(matrix_path), "seed": 0, "out": "/home/someone/nncompress/result",
        "dir_prefix": "model",
    }  # fmt: skip
    (port / "config.json").write_text(json.dumps(arguments, sort_keys=True, indent=4))
    (port / "train.log").write_text("[I 180510 22:43:28 train_comp:123] Training complete!!\n")
    entry = {"main/loss": 11.8, "validation/main/loss": 11.9, "epoch": 199, "iteration": 1000}
    for name in ("iteration", "epoch"):
        (port / f"chainer_report_{name}.log").write_text(json.dumps([entry]))
    return port, arrays


def test_a_run_directory_of_the_2018_port_is_decoded_by_its_configuration(
    commands, run, matrix, matrix_path, tmp_path
):
    gone = "/home/someone/nncompress/data/glove.6B.300d.npy"
    port, arrays = make_port(tmp_path, run, gone)
    shutil.move(port, tmp_path / "renamed")
    port = tmp_path / "renamed"
    with pytest.raises(InputError, match=f"trained on {gone}, which does not exist here; name"):
        commands.infer(["--model", str(port)])
    distance = commands.infer(["--model", str(port), "--matrix", str(matrix_path)])
    _, codes = read_codes(port / "iter_1211000.npz.codes")
    check_distance(matrix, codes, arrays["codebook"], distance)
    assert CompressedEmbedding.load(port / "iter_1211000.npz.nnc").provenance["refined"] is False
    config = json.loads((port / "config.json").read_text()) | {"M": 2, "K": 16}
    (port / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has two sizes"):
        commands.infer(["--model", str(port), "--matrix", str(matrix_path)])
    del config["M"], config["K"]
    (port / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has M=4 and K=8; leave them out"):
        commands.infer(["--model", str(port), "--matrix", str(matrix_path), "-M8", "-K4"])


@pytest.mark.parametrize("content", ["{}", "not JSON", "[1]", '{"n_codebooks": "4"}'])
def test_the_name_tells_the_size_whatever_the_configuration_holds(
    commands, run, matrix_path, tmp_path, content
):
    port, _ = make_port(tmp_path, run, matrix_path)
    expected = commands.infer(["--model", str(port)])
    (port / "config.json").write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = commands.infer(["--model", str(port), "--matrix", str(matrix_path)])
    assert found == expected


def test_mistakes_are_named_and_nothing_is_written(commands, run, matrix, tmp_path):
    before = sorted(path.name for path in run.iterdir())
    (tmp_path / "short.word").write_text("a\nb\n")
    (tmp_path / "tab.word").write_text("a\tb\n" * 300)
    np.save(tmp_path / "narrow.npy", matrix[:, :5])
    np.save(tmp_path / "nan.npy", np.where(np.arange(12) == 3, np.nan, matrix))
    for arguments, message in [
        (["--vocab-path", tmp_path / "short.word"], "has 2 tokens and .* 300 rows"),
        (
            ["--vocab-path", tmp_path / "short.word", "--limit", "2"],
            "has 2 tokens and .* 300 rows",
        ),
        (["--vocab-path", tmp_path / "tab.word"], "line 1: .* holds a tab"),
        (["--matrix", tmp_path / "narrow.npy"], "has 5 columns, but the model was trained on 12"),
        (["--matrix", tmp_path / "nan.npy"], "nan in row 0, column 3"),
        (["--batchsize", "0"], "batch size is 0"),
        (["--gpu", "7"], "GPU 7 was requested"),
        (["--no-refine", "--time-budget", "3"], "a time budget is for refinement, which is off"),
    ]:
        with pytest.raises(InputError, match=message):
            commands.infer(["--model", str(run), *map(str, arguments)])
    assert sorted(path.name for path in run.iterdir()) == before
    with pytest.raises(InputError, match="has no snapshot"):
        commands.infer(["--model", str(tmp_path)])


def test_a_mistake_is_one_line_and_status_2(process, tmp_path):
    result = process("infer_comp.py", "--model", "missing.npz")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_type_of_the_codebook_can_be_chosen(commands, run, dtype):
    commands.infer(["--model", str(run), "--codebook-dtype", dtype, "--no-refine"])
    (path,) = run.glob("*.nnc")
    embedding = CompressedEmbedding.load(path)
    assert embedding.table.codebook.dtype == dtype
    assert not embedding.has_words


def test_a_time_budget_that_is_no_time_is_refused(commands, run):
    with pytest.raises(InputError, match=r"the time budget is 0\.0 seconds"):
        commands.infer(["--model", str(run), "--time-budget", "0"])
    assert not list(run.glob("*.codes"))


def test_weights_for_another_number_of_rows_are_refused(commands, run, tmp_path):
    (tmp_path / "w.txt").write_text("1\n2\n")
    with pytest.raises(InputError, match=r"has 2 weights, but .* 300 rows"):
        commands.infer(["--model", str(run), "--weights", str(tmp_path / "w.txt")])


def test_a_model_that_is_not_finite_is_refused_before_anything_is_written(commands, run):
    snapshot = best_snapshot(run)
    arrays = dict(np.load(snapshot))
    before = sorted(run.iterdir())
    for name, number, message in [
        ("l1/W", np.nan, "l1/W has numbers that are not finite"),
        ("codebook", -np.inf, "codebook has numbers that are not finite"),
        ("scale", 1e39, "codebook has numbers that are not finite"),
    ]:
        spoiled = {key: value.copy() for key, value in arrays.items()}
        spoiled[name][...] = number
        np.savez(snapshot, **spoiled)
        with (
            warnings.catch_warnings(action="ignore"),
            pytest.raises(InputError, match=message),
        ):
            commands.infer(["--model", str(snapshot), "--no-refine"])
        written = [path for path in run.iterdir() if path not in before]
        assert all(path.suffix == ".log" for path in written)


def test_a_snapshot_that_training_replaces_meanwhile_is_not_missed(commands, run, monkeypatch):
    best, *others = read_best(run)
    original = decoding.load_model

    def replaced(path, *arguments):
        if path.name == snapshot_name(best.iteration):
            write_best(run / "best.json", others)
            path.unlink()
        return original(path, *arguments)

    monkeypatch.setattr(decoding, "load_model", replaced)
    commands.infer(["--model", str(run)])
    name = snapshot_name(others[0].iteration)
    assert [path.name for path in run.glob("*.nnc")] == [f"{name}.nnc"]


def test_a_list_of_the_best_that_cannot_be_read_is_told(commands, run):
    (run / "best.json").write_text("{")
    with pytest.raises(InputError, match=r"best\.json is not a list of the best snapshots"):
        commands.infer(["--model", str(run)])
    commands.infer(["--model", str(next(run.glob("iter_*.npz")))])
