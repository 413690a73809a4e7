import itertools
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chainer")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from command_line import hparams_of
from language_model import language_model
from language_model.network import LanguageModel, perplexity, windows
from language_model.options import Option
from language_model.text import PARTS, UNKNOWN, python_documents, read_corpus, split, words_of
from language_model.training import FINAL, Settings, train

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.runs.snapshot_period import SnapshotPeriod
from nncompress.runs.trainer_snapshots import trainer_snapshots

TINY = Settings(max_steps=12, streams=3, window=4, width=8, rate=0.01)
RAMP = "begin_compression_step=3,compression_frequency=1,alpha_decrement_value=0.25"
NOTHING = "compression_option=0"


@pytest.fixture
def corpus(random):
    words = [f"w{number}" for number in range(14)]
    documents = {
        f"document {number}": [" ".join(random.choice(words, size=60))] for number in range(20)
    }
    return read_corpus(documents)


def test_the_text_of_this_python_is_split_by_document_without_overlap():
    documents = python_documents()
    names = split(documents)
    assert sorted(name for part in PARTS for name in names[part]) == sorted(documents)
    texts = [text for document in documents.values() for text in document]
    assert len(set(texts)) == len(texts)
    shares = [sum(len(text) for name in names[part] for text in documents[name]) for part in PARTS]
    assert 0.7 < shares[0] / sum(shares) < 0.9
    assert {"topic assert", "argparse.py", "asyncio/tasks.py"} <= set(documents)


def test_words_that_training_does_not_have_are_unknown():
    documents = {letter: [f"Common words, and no{letter}"] for letter in "abcdefghij"}
    corpus = read_corpus(documents)
    assert corpus.vocabulary[:2] == [UNKNOWN, "<eos>"]
    assert [corpus.vocabulary[number] for number in corpus.test] == [
        *("common", "words", ",", "and", "<unk>", "<eos>")
    ]
    assert len(read_corpus(documents, num_words=5).vocabulary) == 5
    with pytest.raises(InputError, match="wanted at least 10"):
        read_corpus({"a": ["b"]})


def test_words_are_letters_digits_and_runs_of_signs():
    text = "Don't call __init__(x1) -> None.\n-----------\n>>> f(2)"
    assert words_of(text) == [
        *("don't", "call", "__", "init", "__", "(", "x", "1", ")", "-", ">", "none", "."),
        *("----", ">>>", "f", "(", "2", ")"),
    ]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_perplexity_is_that_of_a_plain_lstm(random):
    model = LanguageModel(11, 6, num_layers=2)
    words = random.integers(11, size=50).astype(np.int32)
    table, bias = model.embed.W.array.astype(float), model.output.b.array
    losses = []
    for stream in (words[:25], words[24:49]):  # two streams of 24 words to predict
        states = [(np.zeros(6), np.zeros(6)) for _ in model.layers]
        for word, following in itertools.pairwise(stream):
            x = table[word]
            for number, layer in enumerate(model.layers):
                c, h = states[number]
                gates = layer.upward.W.array @ x + layer.upward.b.array + layer.lateral.W.array @ h
                a, i, f, o = gates.reshape(6, 4).T
                c = np.tanh(a) * sigmoid(i) + sigmoid(f) * c
                x = sigmoid(o) * np.tanh(c)
                states[number] = c, x
            logits = table @ x + bias
            losses.append(np.log(np.exp(logits).sum()) - logits[following])
    assert perplexity(model, words, streams=2, steps=7) == pytest.approx(
        np.exp(np.mean(losses)), rel=1e-5
    )


def test_measuring_leaves_the_text_that_is_being_read_where_it_was(random):
    model = LanguageModel(11, 6, dropout=0.0)
    text = windows(random.integers(11, size=41).astype(np.int32), 2, 5)
    model.loss(text[0])
    before = model.layers[0].h.array.copy()
    perplexity(model, random.integers(11, size=30).astype(np.int32), 3, 3)
    assert (model.layers[0].h.array == before).all()


def test_windows_cover_each_stream_in_order():
    found = windows(np.arange(43), 2, 5)
    assert found.shape == (4, 6, 2)
    assert found[:, :-1, 0].ravel().tolist() == list(range(20))
    assert found[:, 1:, 1].ravel().tolist() == list(range(22, 42))


def test_tied_weights_are_trained_once_and_are_in_the_file_once(tmp_path, corpus):
    trained = train(corpus, {"*": hparams_of(NOTHING, "")}, TINY, tmp_path, quiet=True)
    assert trained.model.output.W is trained.model.embed.W
    listed = list(trained.model.params())
    assert len({id(parameter) for parameter in listed}) == len(listed)
    with np.load(tmp_path / FINAL) as file:
        shapes = [file[name].shape for name in file.files]
    assert shapes.count((len(corpus.vocabulary), TINY.width)) == 1
    assert (tmp_path / FINAL).stat().st_size == trained.num_bytes


@pytest.mark.parametrize("hparams", [NOTHING, f"{RAMP},compression_option=1,rank=200"])
def test_a_run_that_is_resumed_ends_as_it_would_have(tmp_path, corpus, hparams):
    period = SnapshotPeriod.of("5")
    hparams = {"*": hparams_of(hparams, "")}
    train(corpus, hparams, TINY, tmp_path / "unbroken", period=period)
    shutil.copytree(tmp_path / "unbroken", tmp_path / "broken")
    for snapshot in trainer_snapshots(tmp_path / "broken"):
        if snapshot.stem != "trainer_snapshot_5":  # in the middle of a stream, and of the ramp
            snapshot.unlink()
    train(corpus, hparams, TINY, tmp_path / "broken", period=period, resume=True)
    final = [(tmp_path / run / FINAL).read_bytes() for run in ("unbroken", "broken")]
    assert final[0] == final[1]
    with pytest.raises(InputError, match="seed is 1, but the run"):
        train(corpus, hparams, replace(TINY, seed=1), tmp_path / "broken", resume=True)


def test_factors_are_trained_at_their_own_rate(tmp_path, corpus):
    def factors(decrement, factor_rate):
        ramp = (
            f"begin_compression_step=3,compression_frequency=1,alpha_decrement_value={decrement}"
        )
        spec = hparams_of(ramp, "compression_option=1,rank=200")
        settings = replace(TINY, factor_rate=factor_rate)
        model = train(corpus, {"*": spec}, settings, tmp_path, quiet=True).model
        (found,) = (
            parameter.array
            for name, parameter in model.namedparams()
            if name.startswith("/embed/") and name.endswith("/b_matrix")
        )
        return found

    # The ramps begin with the same matrix; what comes later reaches factors by training alone.
    assert (factors(0.25, 1e-12) == factors(0.5, 1e-12)).all()
    assert (factors(0.25, 0.2) != factors(0.5, 0.2)).any()


def test_adams_count_of_a_factors_steps_begins_with_its_first_gradient(tmp_path, corpus):
    spec = hparams_of(RAMP, "compression_option=1,rank=200")  # factored after 3 of 12 steps
    model = train(corpus, {"*": spec}, TINY, tmp_path, quiet=True).model
    counts = {name: parameter.update_rule.t for name, parameter in model.namedparams()}
    assert {count for name, count in counts.items() if "factors" in name} == {9}
    assert {count for name, count in counts.items() if "factors" not in name} == {12}


def test_layers_have_hyperparameters_of_their_own_or_none(tmp_path, corpus):
    option = Option(f"{RAMP},compression_option=1", {"embed": "rank=400", "layers/*/up*": ""})
    trained = train(corpus, option.compression(), TINY, tmp_path, quiet=True)
    assert trained.model.embed.compression_op("W").factors.b_matrix.shape[1] == 2
    assert trained.model.layers[0].upward.compression_op("W").factors.b_matrix.shape[1] == 8
    assert type(trained.model.layers[0].lateral.W) is chainer.Parameter
    assert trained.num_bytes is not None


def test_a_text_that_is_too_short_is_refused(tmp_path, corpus):
    with pytest.raises(InputError, match="wanted fewer streams"):
        train(corpus, {"*": hparams_of(NOTHING, "")}, replace(TINY, streams=4_000), tmp_path)


@pytest.mark.parametrize("given", [{"streams": 0}, {"dropout": 1.0}, {"rate": 0.0}, {"seed": -1}])
def test_settings_that_make_no_run_are_refused(given):
    with pytest.raises(InputError, match=next(iter(given))):
        Settings(**given)


@pytest.fixture
def in_short(monkeypatch, tmp_path, corpus):
    """Runs the command on a short text."""
    monkeypatch.setattr(language_model, "read_corpus", lambda: corpus)
    kmeans = f"{RAMP},compression_option=4,rank=4"
    compared = {"uncompressed": Option(NOTHING), "k-means": Option(kmeans)}
    monkeypatch.setattr(language_model, "DEFAULT_HPARAMS", RAMP)
    monkeypatch.setattr(language_model, "OPTIONS", compared)

    def run(*arguments):
        options = ["--max_steps=8", "--width=8", "--train_dir", str(tmp_path / "out")]
        return language_model.main([*options, *arguments])

    return run


def test_the_command_prints_perplexity_and_bytes(in_short, tmp_path, capsys):
    (point,) = in_short("--compression_hparams", "compression_option=4,rank=4")
    printed = capsys.readouterr().out
    size = (tmp_path / "out" / FINAL).stat().st_size
    assert f"{point.test:.2f} on the test words; {size:,} bytes" in printed
    assert "k-means" in printed


def test_comparing_goes_on_where_it_was_and_draws_the_trade(in_short, tmp_path, capsys):
    points = in_short("--compare")
    assert [point.name for point in points] == ["uncompressed", "k-means"]
    line = f"| k-means | {points[1].validation:.1f} | {points[1].test:.1f} |"
    assert line in capsys.readouterr().out
    (tmp_path / "out" / "trade.png").unlink()
    assert in_short("--compare", "--resume") == points
    assert (tmp_path / "out" / "trade.png").stat().st_size > 1_000


def test_options_that_are_named_are_compared_beside_the_uncompressed_model(in_short, monkeypatch):
    known = {**language_model.OPTIONS, "low rank": Option(f"{RAMP},compression_option=1")}
    monkeypatch.setattr(language_model, "OPTIONS", known)
    points = in_short("--compare", "low rank")
    assert [point.name for point in points] == ["uncompressed", "low rank"]


def test_the_rate_of_factors_is_each_options_own_where_options_are_compared(in_short):
    with pytest.raises(InputError, match="each option has its own"):
        in_short("--compare", "--factor_rate=0.5")


def test_options_cannot_be_compared_while_alpha_is_above_0(in_short):
    with pytest.raises(InputError, match=r"k-means: alpha is .* wanted more steps"):
        in_short("--compare", "--max_steps=5")
