import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError, compress
from nncompress.embedding.subword_extras import to_extras
from nncompress.sources.tables import open_table
from tests.sources.fasttext_files import HS, OVA, SOFTMAX, small_model, trained

LABELS = [f"__label__{letter}" for letter in "abcde"]
COUNTS = [9, 7, 3, 2, 1]


def exact(path):
    """A model's table whose rows are decoded as they are, each being a codeword."""
    with open_table(path) as table:
        rows = table.matrix.take(np.arange(len(table.matrix)))
        plain = CompressedEmbedding.from_codes(np.arange(len(rows))[:, None], rows)
        extras = to_extras(table.subwords)
        return CompressedEmbedding.of_table(plain.table, table.words, extras=extras)


def model(tmp_path, loss, **options):
    words = (b"</s>", b"the", b"sea")
    data, matrix, output = small_model(
        words=words, labels=[label.encode() for label in LABELS], loss=loss,
        counts=[3, 2, 1, *COUNTS], **options,
    )  # fmt: skip
    (tmp_path / "model.bin").write_bytes(data)
    embedding = exact(tmp_path / "model.bin")
    embedding.save(tmp_path / "model.nnc")
    return CompressedEmbedding.load(tmp_path / "model.nnc"), matrix, output


def test_softmax_is_of_the_mean_of_words_ngrams_and_the_end(tmp_path):
    embedding, matrix, output = model(tmp_path, SOFTMAX)
    ngrams = embedding.subwords.ngrams
    buckets, _ = ngrams.of([b"the", b"unseen"])
    hidden = matrix[[1, 0, *(3 + buckets)]].mean(axis=0)
    chances = np.exp(output @ hidden)
    chances /= chances.sum()
    order = np.argsort(-chances)
    labels, numbers = embedding.predict("the unseen __label__b", k=-1)
    assert list(labels) == [LABELS[place] for place in order]
    np.testing.assert_allclose(numbers, chances[order] + 1e-5, rtol=1e-5)
    assert embedding.predict("the unseen", 2)[0] == labels[:2]
    least = float(np.sort(chances)[2])
    assert embedding.predict("the unseen", 5, least * 1.001)[0] == labels[:2]
    several = embedding.predict(["the unseen", ""], 1)
    assert several[0] == [[labels[0]], [embedding.predict("")[0][0]]]


def test_the_tree_of_labels_is_huffmans(tmp_path):
    """Labels e and d, the rarest, meet first, then c with them, and so on."""
    embedding, matrix, output = model(tmp_path, HS, max_n=0)
    hidden = matrix[[1, 0]].mean(axis=0)
    right = 1 / (1 + np.exp(-(output @ hidden)))
    chance = {}
    # node 0: (e, d), node 1: (0, c) by counts 3 and 3, node 2: (1, b) of 6 and 7, node 3
    chance["a"] = 1 - right[3]
    chance["b"] = right[3] * right[2]
    rest = right[3] * (1 - right[2])
    labels, numbers = embedding.predict("the", k=-1)
    found = dict(zip(labels, numbers, strict=True))
    assert found["__label__a"] == pytest.approx(chance["a"], abs=1e-4)
    assert found["__label__b"] == pytest.approx(chance["b"], abs=1e-4)
    assert sum(found[f"__label__{c}"] for c in "cde") == pytest.approx(rest, abs=1e-4)
    assert numbers.sum() == pytest.approx(1, abs=1e-3)


def test_one_versus_all_are_sigmoids_in_steps(tmp_path):
    embedding, matrix, output = model(tmp_path, OVA, max_n=0, word_ngrams=2)
    labels, numbers = embedding.predict("sea", k=-1)
    further = embedding.subwords.rows_of(embedding.classifier._rows_of("sea")[2:] - 3)
    hidden = matrix[[2, 0, *further]].mean(axis=0)
    expected = 1 / (1 + np.exp(-(output @ hidden)))
    for label, number in zip(labels, numbers, strict=True):
        assert number == pytest.approx(expected[LABELS.index(label)], abs=0.01)


@pytest.mark.parametrize(
    ("text", "k", "seen"),
    [("a\nb", 1, "line of text"), (7, 1, "line of text"), ("a", 0, "k is 0"), ("a", 1.5, "k is")],
)
def test_what_is_no_line_or_no_number_is_refused(tmp_path, text, k, seen):
    embedding, _, _ = model(tmp_path, SOFTMAX)
    with pytest.raises(InputError, match=seen):
        embedding.predict([text] if text == 7 else text, k)


def test_a_table_without_labels_is_refused(embedding):
    with pytest.raises(InputError, match="no labels"):
        embedding.predict("the sea")


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova", "ns"])
@pytest.mark.parametrize("options", [{}, {"wordNgrams": 3, "minn": 2, "maxn": 3}])
def test_labels_and_probabilities_are_fasttexts(tmp_path, loss, options):
    theirs = trained(tmp_path, supervised=True, loss=loss, epoch=5, lr=0.5, **options)
    path = tmp_path / "model.bin"
    theirs.save_model(str(path))
    embedding = exact(path)
    lines = (tmp_path / "train.txt").read_text(encoding="utf-8").splitlines()[:20]
    for line in [*lines, "unseen größe", "x </s> y", " ", "a\0b"]:
        found = theirs.f.predict(line + "\n", 3, 0.0, "strict")
        expected = {label: number for number, label in found}
        labels, numbers = embedding.predict(line, k=3)
        assert set(labels) == set(expected)
        # Those of ova and ns are looked up in a table, where a step is up to 1/128.
        tolerance = 1e-5 if loss in ("softmax", "hs") else 0.008
        for label, number in zip(labels, numbers, strict=True):
            assert number == pytest.approx(expected[label], abs=tolerance)


def test_a_compressed_classifier_says_what_the_original_says(tmp_path):
    options = {"wordNgrams": 2, "minn": 2, "maxn": 4}
    theirs = trained(tmp_path, supervised=True, epoch=20, lr=1.0, **options)
    path = tmp_path / "model.bin"
    theirs.save_model(str(path))
    embedding = compress(path, tmp_path / "model.nnc", bits_per_dim=8, report=None)
    lines = (tmp_path / "train.txt").read_text(encoding="utf-8").splitlines()
    agree = [embedding.predict(line)[0][0] == exact_label(theirs, line) for line in lines]
    assert np.mean(agree) > 0.98


def exact_label(model, line):
    return model.f.predict(line + "\n", 1, 0.0, "strict")[0][1]
