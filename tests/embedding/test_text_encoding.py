import numpy as np
import pytest

from nncompress import CompressedEmbedding, FormatError, InputError
from tests.embedding.residual_tables import random_table
from tests.models.static_models import (
    some_table,
    some_texts,
    tokenizers,
    unigram_tokenizer,
    word_tokenizer,
)


@pytest.fixture(params=["codes", "residuals"])
def embedding(request, random):
    if request.param == "codes":
        return some_table(random)
    return CompressedEmbedding.of_table(random_table(random, True, rows=60, dim=8), None)


def mean_of(rows, tokens):
    total = np.zeros(rows.shape[1])
    for token in tokens:
        total += rows[token]
    return total / max(1, len(tokens))


def words_of(text):
    """The numbers of a text's words, by the definition of the tokenizer."""
    numbers = [int(word.removeprefix("w")) if word[0] == "w" else 0 for word in text.split()]
    return [number if number < 60 else 0 for number in numbers]


def test_a_text_is_the_mean_of_its_tokens_rows(embedding, random):
    texts, rows = some_texts(random), embedding.to_numpy()
    expected = [mean_of(rows, words_of(text)) for text in texts]
    encoded = embedding.encode(texts, tokenizer=word_tokenizer())
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, expected, rtol=1e-4, atol=1e-5)
    assert not encoded[texts.index("")].any()
    np.testing.assert_array_equal(embedding.encode(texts, words_of, batch_size=2), encoded)
    np.testing.assert_array_equal(embedding.encode(texts[0], words_of), encoded[0])
    assert embedding.encode([], words_of).shape == (0, 8)


def test_weights_and_a_mapping_of_the_file_are_obeyed(tmp_path, random):
    embedding = some_table(random, rows=20)
    embedding.extras["mapping"] = random.integers(20, size=60)
    embedding.extras["weights"] = random.random(60)
    embedding.save(tmp_path / "x.nnc")
    loaded = CompressedEmbedding.load(tmp_path / "x.nnc")
    rows = embedding.to_numpy()[embedding.extras["mapping"]]
    rows = rows * embedding.extras["weights"][:, None]
    texts = some_texts(random)
    expected = [mean_of(rows, words_of(text)) for text in texts]
    np.testing.assert_allclose(loaded.encode(texts, word_tokenizer()), expected, atol=1e-6)


def test_vectors_are_divided_by_their_lengths_if_asked(embedding, random):
    texts = some_texts(random)
    plain = embedding.encode(texts, words_of)
    lengths = np.linalg.norm(plain.astype(np.float64), axis=1, keepdims=True)
    expected = np.divide(plain, lengths, out=np.zeros(plain.shape), where=lengths > 0)
    found = embedding.encode(texts, words_of, normalize=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_more_than_the_first_tokens_count(random):
    embedding = some_table(random)
    found = embedding.encode(["w1 w2 w3 w4"], word_tokenizer(), max_length=2)
    np.testing.assert_array_equal(found, embedding.encode(["w1 w2"], word_tokenizer()))


@pytest.mark.parametrize("made", [word_tokenizer, unigram_tokenizer])
def test_unknown_tokens_are_left_out_if_asked(random, made):
    embedding, tokenizer = some_table(random), made()
    found = embedding.encode("w5 zzz w7", tokenizer, keep_unknown=False)
    np.testing.assert_array_equal(found, embedding.encode("w5 w7", tokenizer))
    assert (found != embedding.encode("w5 zzz w7", tokenizer)).any()


def test_padding_does_not_count(random):
    embedding, texts = some_table(random), some_texts(random)
    padded = word_tokenizer()
    padded.enable_padding(pad_id=3, pad_token="w3")
    expected = embedding.encode(texts, word_tokenizer())
    np.testing.assert_array_equal(embedding.encode(texts, padded), expected)
    assert padded.padding is not None


def test_tokenizers_are_files_folders_and_those_of_transformers(tmp_path, random):
    embedding, texts = some_table(random), some_texts(random)
    expected = embedding.encode(texts, word_tokenizer())
    word_tokenizer().save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json", str(tmp_path)):
        np.testing.assert_array_equal(embedding.encode(texts, path), expected)
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(), unk_token="[UNK]"
    )
    np.testing.assert_array_equal(embedding.encode(texts, theirs), expected)
    np.testing.assert_array_equal(
        embedding.encode(texts, theirs, keep_unknown=False),
        embedding.encode(texts, word_tokenizer(), keep_unknown=False),
    )


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (word_tokenizer(61), "61 tokens, but the table 60"),
        (lambda text: [60], "token 60, but the table has tokens 0 to 59"),
        (lambda text: [1, -1], "token -1"),
        (lambda text: [[1]], r"shape \(1, 1\)"),
        (lambda text: [0.5], "type float64"),
        (7, "is a int"),
        (tokenizers.Tokenizer, "is the class Tokenizer"),
        ("nowhere", "nowhere does not exist"),
    ],
)
def test_tokenizers_that_do_not_fit_are_refused(random, tokenizer, message):
    with pytest.raises(InputError, match=message):
        some_table(random).encode(["w1"], tokenizer)


def test_a_damaged_tokenizer_is_told_of(tmp_path, random):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(FormatError, match=r"tokenizer\.json is not a file of"):
        some_table(random).encode(["w1"], tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_length": 0}, "max_length is 0"),
        ({"max_length": 1.5}, "max_length is 1.5"),
        ({"keep_unknown": False}, "keep_unknown=False was given with a function"),
    ],
)
def test_settings_out_of_bounds_are_refused(random, settings, message):
    with pytest.raises(InputError, match=message):
        some_table(random).encode(["w1"], words_of, **settings)


def test_texts_that_are_no_strings_are_refused(random):
    with pytest.raises(InputError, match="a text is a bytes"):
        some_table(random).encode([b"w1"], words_of)


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"weights": np.ones(59)}, r"weights have shape \(59,\).* each of 60 tokens"),
        ({"weights": np.ones(60, bool)}, "type bool"),
        ({"mapping": np.full(60, 60)}, "from 60 to 60; wanted 0 to 59"),
        ({"mapping": np.full(60, -1)}, "from -1 to -1"),
        ({"mapping": np.ones(60)}, "type float64"),
        ({"mapping": np.zeros(70, int), "weights": np.ones(60)}, "each of 70 tokens"),
    ],
)
def test_weights_and_mappings_that_do_not_fit_are_refused(random, extras, message):
    embedding = some_table(random)
    embedding.extras |= extras
    with pytest.raises(InputError, match=message):
        embedding.encode(["w1"], words_of)
