import json

import numpy as np
import pytest

from nncompress import InputError
from nncompress.cli.main import main

pytest.importorskip("sentence_transformers")
from nncompress.models.evaluation import OriginalModel, Tasks, evaluate_models
from nncompress.models.opened import open_language_model, open_sentence_encoder
from tests.models.small_models import perturbed, save_bert, save_gpt2, table_of


@pytest.fixture
def encoders(tmp_path, random):
    save_bert(tmp_path / "m")
    return tmp_path / "m", perturbed(tmp_path / "m", tmp_path / "p", random)


@pytest.fixture
def language_models(tmp_path, random):
    save_gpt2(tmp_path / "m")
    return tmp_path / "m", perturbed(tmp_path / "m", tmp_path / "p", random)


@pytest.fixture
def sts(tmp_path, random):
    words = random.integers(60, size=(80, 3))
    lines = [f'"w{a}, w{i % 60}",w{b} w{c},{i % 6}\n' for i, (a, b, c) in enumerate(words)]
    (tmp_path / "sts.csv").write_text("one,other,score\n" + "".join(lines))
    return tmp_path / "sts.csv"


@pytest.fixture
def text(tmp_path, random):
    (tmp_path / "t.txt").write_text(" ".join(f"w{i}" for i in random.integers(60, size=200)))
    return tmp_path / "t.txt"


def test_encoders_are_compared(encoders, sts, tmp_path):
    stats = pytest.importorskip("scipy.stats")
    (tmp_path / "p.tsv").write_text("".join(f"w{i}\tw{i + 9}\t{i % 7}\n" for i in range(30)))
    result = evaluate_models(*encoders, Tasks((tmp_path / "p.tsv",), sts))
    before, after = map(table_of, encoders)
    error = ((before - after) ** 2).sum() / ((before - before.mean(axis=0)) ** 2).sum()
    assert result.report.figures["error"].value == pytest.approx(error, rel=1e-4)
    pairs, sentences = result.report.scores
    assert (pairs.task, sentences.task, sentences.data) == ("pairs", "sts", "sts.csv")
    lines = [line.rsplit(",", 2) for line in sts.read_text().splitlines()[1:]]
    for folder, figure in zip(encoders, (sentences.original, sentences.compressed), strict=True):
        encode = open_sentence_encoder(folder).encode
        ones, others = (encode([line[i].strip('"') for line in lines]) for i in (0, 1))
        cosines = (ones * others).sum(axis=1)
        cosines /= np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
        expected = 100 * stats.spearmanr(cosines, [float(line[2]) for line in lines])[0]
        assert figure.value == pytest.approx(expected, abs=1e-3)
    assert result.words[7] == "w7"
    same = OriginalModel(encoders[0], Tasks(sts=sts)).compare(encoders[0]).report
    assert same.scores[0].change.value == 0
    assert same.figures["error"].value == 0


def test_language_models_are_compared(language_models, text):
    result = evaluate_models(*language_models, Tasks(text=text))
    (score,) = result.report.scores
    before, after = map(open_language_model, language_models)
    ids = before.token_ids(text.read_text())
    losses, apart = [], []
    for first in range(0, len(ids) - 1, 32):
        part = ids[first : first + 32]
        one, other = (model.logits(part).astype(np.float64)[:-1] for model in (before, after))
        one, other = (each - np.log(np.exp(each).sum(1, keepdims=True)) for each in (one, other))
        places = np.arange(len(part) - 1), part[1:]
        losses.append([-one[places], -other[places]])
        apart.append((np.exp(one) * (one - other)).sum(axis=1))
    means = np.exp(np.concatenate(losses, axis=1).mean(axis=1))
    assert (score.original.value, score.compressed.value) == pytest.approx(tuple(means), rel=1e-4)
    divergence = result.report.figures["kl"]
    assert divergence.value == pytest.approx(np.concatenate(apart).mean(), rel=1e-4)
    assert score.items == "193 tokens in windows of 32"


def test_the_command_compares_folders(encoders, sts, tmp_path, capsys):
    arguments = ["evaluate", *map(str, encoders), "--sts", str(sts)]
    main([*arguments, "--json", "--page", str(tmp_path / "x.html")])
    facts = json.loads(capsys.readouterr().out)
    assert facts["quality"]["scores"][0]["task"] == "sts"
    assert facts["page"] == str(tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert page.count("<svg") == 2
    assert "<bdi>w7</bdi>" in page
    main(arguments)
    assert "sts, sts.csv" in capsys.readouterr().out


def test_what_does_not_belong_together_is_refused(language_models, sts, text, tmp_path, random):
    save_bert(tmp_path / "b")
    small = perturbed(tmp_path / "b", tmp_path / "small", random)
    same = tmp_path / "same.csv"
    same.write_text("w1,w2,3\nw3,w4,3\n")
    for folders, flags, message in [
        (language_models, ["--sts", sts], "language model, to which --sts does not apply"),
        (language_models, ["--text", tmp_path / "none"], "none does not exist; wanted a text"),
        (language_models, ["--plot", "x.png"], "--plot is for a compressed table"),
        (language_models, ["--words", "x"], "--words is for a compressed table"),
        ((small, small), ["--text", text], "sentence encoder, to which --text does not apply"),
        ((small, tmp_path), [], "cannot be opened as a model"),
        ((small, tmp_path / "none"), [], "none does not exist; wanted a compressed table, or a"),
        ((language_models[0], small), [], "is a causal language model and the other is not"),
        ((tmp_path / "b", small), ["--sts", same], "same.csv has the score 3 for all pairs"),
    ]:
        with pytest.raises(InputError, match=message):
            main(["evaluate", *map(str, (*folders, *flags))])
