import numpy as np
import pytest

from nncompress import FormatError, InputError
from nncompress.sources.fasttext_model import is_fasttext, read_fasttext
from nncompress.sources.tables import open_table
from tests.sources.fasttext_files import OVA, SKIPGRAM, model_bytes, small_model, trained

LABELS = (b"__label__a", "__label__é".encode())


@pytest.fixture
def model(tmp_path):
    """Writes a model and returns its path."""

    def write(data):
        path = tmp_path / "model.bin"
        path.write_bytes(data)
        return path

    return write


def rows_of(path, **options):
    with open_table(path, **options) as table:
        return table.matrix.take(np.arange(len(table.matrix))), table


def mean_of(matrix, num_words, word, row, ngrams):
    buckets, _ = ngrams.of([word])
    return matrix[[row, *(num_words + buckets)]].mean(axis=0)


def test_a_words_row_is_the_mean_of_its_own_and_those_of_its_ngrams(model):
    data, matrix, _ = small_model()
    path = model(data)
    rows, table = rows_of(path)
    read = read_fasttext(path)
    assert is_fasttext(path)
    assert table.words == ["</s>", "the", "größe", "日本"]
    assert table.subwords.composed
    assert (rows[4:] == matrix[4:]).all()
    for row, word in enumerate(read.encoded):
        np.testing.assert_allclose(
            rows[row], mean_of(matrix, 4, word, row, read.rows.ngrams), rtol=0, atol=1e-6
        )


def test_a_supervised_models_rows_stay_apart(model):
    data, matrix, output = small_model(labels=LABELS, loss=OVA, word_ngrams=2)
    rows, table = rows_of(model(data))
    classifier = table.subwords.classifier
    assert (rows == matrix).all()
    assert not table.subwords.composed
    assert (classifier.loss, classifier.word_ngrams) == ("ova", 2)
    assert classifier.labels == ["__label__a", "__label__é"]
    assert classifier.counts.tolist() == [2, 1]
    assert (classifier.output == output).all()


def test_supervised_models_of_version_11_have_no_character_ngrams(model):
    data, _, _ = small_model(labels=LABELS, version=11)
    assert read_fasttext(model(data)).rows.ngrams.max_n == 0
    data, _, _ = small_model(version=11)
    assert read_fasttext(model(data)).rows.ngrams.max_n == 4


def test_floret_models_are_told_from_fasttexts(model):
    data, matrix, _ = small_model(floret=2)
    path = model(data)
    read, (rows, _) = read_fasttext(path), rows_of(path)
    ngrams = read.rows.ngrams
    assert (ngrams.kind, ngrams.hash_count) == ("floret", 2)
    buckets, _ = ngrams.of([b"the"])
    np.testing.assert_allclose(rows[1], matrix[4 + buckets].mean(axis=0), rtol=0, atol=1e-6)
    assert (rows[0] == matrix[0]).all()  # floret's first word has its own row


def test_words_that_are_not_utf8_are_kept_as_gensim_keeps_them(model):
    data, matrix, _ = small_model(words=(b"a", b"b\xff"))
    path = model(data)
    with pytest.warns(UserWarning, match="1 word of .* is not valid UTF-8"):
        rows, table = rows_of(path)
    assert table.words == ["a", "b\\xff"]
    expected = mean_of(matrix, 2, b"b\xff", 1, table.subwords.ngrams)
    np.testing.assert_allclose(rows[1], expected, rtol=0, atol=1e-6)


def test_quantized_models_are_refused_by_name(model):
    data, _, _ = small_model(labels=LABELS, quantized=True)
    with pytest.raises(InputError, match=r"quantized fastText model \(\.ftz\)"):
        read_fasttext(model(data))
    data, _, _ = small_model(labels=LABELS, quantized=True, pruned=3)
    with pytest.raises(InputError, match=r"quantized fastText model \(\.ftz\)"):
        read_fasttext(model(data))


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"version": 13}, "is of version 13"),
        ({"version": 10}, "is of version 10"),
        ({"magic": 1}, "as no fastText model does"),
        ({"pruned": 3}, "pruned dictionary"),
        ({"sizes": (1 << 30, 1 << 30, 0)}, "bytes for 1,073,741,824 words"),
        ({"sizes": (5, 4, 0)}, "do not add up"),
        ({"sizes": (0, 0, 0)}, "do not add up"),
        ({"sizes": (4, 5, -1)}, "5 words and -1 labels"),
        ({"sizes": (3, 3, 0)}, "has"),
        ({"loss": 9}, "argument loss 9"),
        ({"model": 7}, "argument model 7"),
        ({"max_n": -1}, "argument maxn -1"),
        ({"labels": LABELS, "model": SKIPGRAM}, "4 words and 2 labels"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(model, options, seen):
    data, _, _ = small_model(**options)
    with pytest.raises(FormatError, match=seen) as error:
        read_fasttext(model(data))
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_short_anywhere_is_refused(model):
    data, _, _ = small_model(labels=LABELS)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            read_fasttext(model(data[:length]))


def test_no_count_makes_room_before_it_is_checked(model):
    matrix = np.zeros((34, 5), np.float32)
    data = bytearray(model_bytes([b"a"] * 4, matrix, matrix[:4]))
    place = data.index((34).to_bytes(8, "little") + (5).to_bytes(8, "little"))
    data[place : place + 8] = (1 << 60).to_bytes(8, "little")
    with pytest.raises(FormatError, match=r"shape \(1152921504606846976, 5\)"):
        read_fasttext(model(bytes(data)))


def test_pruning_leaves_the_buckets_of_the_vocabulary_and_of_a_text(model, tmp_path):
    path = model(small_model()[0])
    every, whole = rows_of(path)
    rows, table = rows_of(path, prune=True)
    kept, _ = table.subwords.ngrams.of(read_fasttext(path).encoded)
    assert table.subwords.kept.tolist() == sorted(set(kept.tolist()))
    assert (rows == np.concatenate([every[:4], every[4 + table.subwords.kept]])).all()
    assert "are left out" in str(table.subwords)
    assert "left out" not in str(whole.subwords)
    text = tmp_path / "text.txt"
    text.write_text("ein anderes\nWort")
    _, more = rows_of(path, prune=True, corpus=text)
    also, _ = whole.subwords.ngrams.of([b"ein", b"anderes", b"Wort"])
    assert more.subwords.kept.tolist() == sorted({*kept.tolist(), *also.tolist()})


def test_a_classifier_of_word_ngrams_is_pruned_by_the_text_it_was_trained_on(model, tmp_path):
    path = model(small_model(labels=LABELS, word_ngrams=2, max_n=0)[0])
    with pytest.raises(InputError, match="--corpus"):
        rows_of(path, prune=True)
    text = tmp_path / "text.txt"
    text.write_text("__label__a the größe\n")
    _, table = rows_of(path, prune=True, corpus=text)
    assert 1 <= len(table.subwords.kept) <= 2  # "the größe" and "größe </s>"


def test_a_limit_is_of_words(model):
    path = model(small_model()[0])
    rows, table = rows_of(path, limit=2)
    assert table.words == ["</s>", "the"]
    assert (rows == rows_of(path)[0][[0, 1, *range(4, 34)]]).all()


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"words": ["a"]}, "words were given"),
        ({"tensor": "a"}, "no named tensors"),
        ({"unit_rows": True}, "--objective"),
        ({"is_large": lambda num_rows, dim: True}, "34 rows of words and n-grams.*--prune"),
    ],
)
def test_settings_that_do_not_go_with_ngrams_are_refused(model, options, seen):
    with pytest.raises(InputError, match=seen):
        rows_of(model(small_model()[0]), **options)


def test_a_classifier_takes_no_limit(model):
    with pytest.raises(InputError, match="a classifier, which needs all of its rows"):
        rows_of(model(small_model(labels=LABELS)[0]), limit=2)


def test_pruning_is_refused_where_there_are_no_ngrams():
    with pytest.raises(InputError, match="no rows for n-grams"):
        rows_of(np.ones((3, 2), np.float32), prune=True)


def test_rows_are_gensims_to_five_digits(tmp_path):
    fasttext = pytest.importorskip("gensim.models.fasttext")
    texts = [["the", "größe", "日本語", "of", "words"], ["of", "the", "sea", "importance"]] * 9
    trained = fasttext.FastText(texts, vector_size=8, min_count=1, bucket=50, epochs=1)
    path = tmp_path / "gensim.bin"
    fasttext.save_facebook_model(trained, str(path))
    keyed = fasttext.load_facebook_vectors(str(path))
    rows, table = rows_of(path)
    assert table.words == keyed.index_to_key
    np.testing.assert_allclose(rows[: len(keyed)], keyed.vectors, rtol=0, atol=1e-5)
    assert (rows[len(keyed) :] == keyed.vectors_ngrams).all()


@pytest.mark.parametrize("options", [{}, {"module": "floret", "mode": "floret", "hashCount": 3}])
def test_rows_are_those_of_the_library_to_five_digits(tmp_path, options):
    model = trained(tmp_path, minn=2, maxn=4, **options)
    path = tmp_path / "trained.bin"
    model.save_model(str(path))
    rows, table = rows_of(path)
    assert table.words == model.words
    own = np.array([model.get_word_vector(word) for word in model.words])
    np.testing.assert_allclose(rows[: len(own)], own, rtol=0, atol=1e-5)
    assert (rows[len(own) :] == model.get_input_matrix()[len(own) :]).all()
