import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding, FormatError, InputError
from nncompress.models.static_file import StaticTable, read_static, write_static
from tests.embedding.residual_tables import random_table
from tests.models.static_models import (
    compress_folder,
    normal,
    some_texts,
    unigram_tokenizer,
    word_tokenizer,
)

model2vec = pytest.importorskip("model2vec")
static = pytest.importorskip("nncompress.static")
ROOT = Path(__file__).resolve().parents[1]


def decoded_model(model, table):
    """model2vec's own model, with a decoded table in the place of its vectors."""
    return model2vec.StaticModel(
        table.to_numpy().astype(model.embedding.dtype), model.tokenizer, config=model.config,
        normalize=model.normalize, weights=model.weights, token_mapping=model.token_mapping,
        max_length=model.max_length,
    )  # fmt: skip


@pytest.fixture(params=["plain", "float16", "unigram", "weights", "quantized"])
def pair(request, tmp_path, random):
    """A compressed model, and model2vec's of the decoded table."""
    rows = 20 if request.param == "quantized" else 60
    settings = {"normalize": request.param != "weights"}
    vectors = normal(random, rows, 8)
    if request.param == "float16":
        vectors = vectors.astype(np.float16)
    if request.param in ("weights", "quantized"):
        settings["weights"] = random.random(60)
    if request.param == "quantized":
        settings["token_mapping"] = random.integers(20, size=60)
    tokenizer = unigram_tokenizer() if request.param == "unigram" else word_tokenizer()
    model = model2vec.StaticModel(vectors, tokenizer, **settings)
    model.save_pretrained(tmp_path / "plain")
    (table,) = compress_folder(tmp_path / "plain", tmp_path / "out", random)
    return static.StaticModel.from_pretrained(tmp_path / "out"), decoded_model(model, table)


def test_it_encodes_as_model2vec_does_with_the_decoded_table(pair, random):
    model, decoded = pair
    texts = some_texts(random, 40)
    for settings in (
        {},
        {"normalize": True},
        {"normalize": False, "max_length": 3},
        {"max_length": None, "batch_size": 7},
        {"batch_size": 3, "multiprocessing_threshold": 5},
    ):
        found, expected = model.encode(texts, **settings), decoded.encode(texts, **settings)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(model.encode("w1 w2"), decoded.encode("w1 w2"))
    for one, other in zip(
        model.encode_as_sequence(texts), decoded.encode_as_sequence(texts), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert model.tokenize(texts) == decoded.tokenize(texts)
    facts = ("dim", "embedding_dtype", "vocabulary_quantization", "normalize", "max_length")
    assert [getattr(model, f) for f in facts] == [getattr(decoded, f) for f in facts]


def test_encode_of_the_table_alone_is_the_same(pair, tmp_path, random):
    model, decoded = pair
    embedding = read_static(tmp_path / "out" / "model.safetensors").embedding
    texts = some_texts(random)
    found = embedding.encode(
        texts, tmp_path / "out", normalize=model.normalize, max_length=512, keep_unknown=False
    )
    expected = decoded.encode(texts)
    half = expected.dtype == np.float16
    np.testing.assert_allclose(found, expected, atol=2e-3 if half else 1e-6)


def test_a_saved_model_opens_again_and_stays_compressed(pair, tmp_path, random):
    model, _ = pair
    texts = some_texts(random)
    model.save_pretrained(tmp_path / "again", subfolder="inner")
    again = static.StaticModel.from_pretrained(tmp_path / "again", subfolder="inner")
    np.testing.assert_array_equal(again.encode(texts), model.encode(texts))
    assert again.encode(texts).dtype == model.encode(texts).dtype
    folder = tmp_path / "again" / "inner"
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in (tmp_path / "plain").iterdir()
    }
    first, second = (
        read_static(each / "model.safetensors") for each in (folder, tmp_path / "out")
    )
    np.testing.assert_array_equal(first.embedding.table.packed, second.embedding.table.packed)
    unpickled = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(unpickled.encode(texts), model.encode(texts))


def test_model2vec_itself_refuses_the_folder(pair, tmp_path):
    with pytest.raises(Exception, match="does not contain tensor embeddings"):
        model2vec.StaticModel.from_pretrained(tmp_path / "out")


def test_types_and_leading_columns_are_those_of_model2vec(pair, tmp_path, random):
    _, decoded = pair
    texts = some_texts(random)
    # Rows are decoded to the type that is asked for, not to the one that the model had first.
    tolerance = 1e-3 if decoded.embedding.dtype == np.float16 else 0.0
    for settings in (
        {"quantize_to": "float16"},
        {"dimensionality": 3},
        {"quantize_to": "float64", "dimensionality": 5},
    ):
        found = static.StaticModel.from_pretrained(tmp_path / "out", **settings)
        expected = model2vec.quantize_model(decoded, **settings)
        assert found.encode(texts).dtype == expected.encode(texts).dtype
        np.testing.assert_allclose(found.encode(texts), expected.encode(texts), 0.0, tolerance)
    with pytest.raises(InputError, match="5 of the 8 columns"):
        found.save_pretrained(tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize(
    "settings", [{"quantize_to": "int8"}, {"quantize_to": "int3"}, {"vocabulary_quantization": 9}]
)
def test_what_would_make_another_table_is_refused(pair, tmp_path, settings):
    with pytest.raises(InputError, match=f"{next(iter(settings))}.* for a compressed table"):
        static.StaticModel.from_pretrained(tmp_path / "out", **settings)


def test_other_settings_are_obeyed(pair, tmp_path):
    model = static.StaticModel.from_pretrained(tmp_path / "out", normalize=False, max_length=7)
    assert (model.normalize, model.max_length) == (False, 7)
    assert static.StaticModel.from_pretrained(tmp_path / "out", max_length=None).max_length is None


def test_a_folder_that_is_not_compressed_opens_as_model2vec_opens_it(pair, tmp_path, random):
    texts = some_texts(random)
    found = static.StaticModel.from_pretrained(tmp_path / "plain", dimensionality=4)
    expected = model2vec.StaticModel.from_pretrained(tmp_path / "plain", dimensionality=4)
    np.testing.assert_array_equal(found.encode(texts), expected.encode(texts))
    found.save_pretrained(tmp_path / "again")
    again = model2vec.StaticModel.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(again.encode(texts), expected.encode(texts))


def test_residual_rows_are_decoded_by_many_threads_at_once(tmp_path, random):
    table = CompressedEmbedding.of_table(random_table(random, True, rows=60, dim=8), None)
    model = model2vec.StaticModel(normal(random, 60, 8), word_tokenizer())
    model.save_pretrained(tmp_path / "m")
    write_static(tmp_path / "m" / "model.safetensors", StaticTable(table), "embeddings")
    texts = some_texts(random, 300)
    found = static.StaticModel.from_pretrained(tmp_path / "m").encode(
        texts, batch_size=5, multiprocessing_threshold=1
    )
    np.testing.assert_array_equal(found, decoded_model(model, table).encode(texts))


def test_rows_look_like_an_array(pair):
    rows = pair[0].embedding
    array = np.asarray(rows)
    assert (rows.shape, rows.dtype, rows.ndim, len(rows)) == (
        array.shape, array.dtype, 2, len(array)
    )  # fmt: skip
    for index in (3, -1, [1, 1, 0], [[1, 2], [2, 0]], slice(1, 4), np.array([], int)):
        np.testing.assert_array_equal(rows[index], array[index])
    np.testing.assert_array_equal(np.asarray(rows[:, :3]), array[:, :3])
    with pytest.raises(IndexError, match=f"no row {len(rows)}"):
        rows[[len(rows)]]
    for columns in (slice(1, 3), slice(0, 0), 2):
        with pytest.raises(IndexError, match="wanted leading ones"):
            rows[:, columns]
    with pytest.raises(InputError, match="cannot be decoded to int8"):
        rows.astype(np.int8)
    with pytest.raises(ValueError, match="creates a new array"):
        np.array(rows, copy=False)


def test_weights_that_do_not_fit_are_refused(tmp_path, random):
    model = model2vec.StaticModel(normal(random, 60, 8), word_tokenizer(), weights=np.ones(60))
    model.save_pretrained(tmp_path / "m")
    compress_folder(tmp_path / "m", tmp_path / "out", random)
    whole = read_static(tmp_path / "out" / "model.safetensors")
    whole.embedding.extras["weights"] = np.ones(59)
    write_static(tmp_path / "out" / "model.safetensors", whole, "embeddings")
    with pytest.raises(InputError, match=r"weights have shape \(59,\)"):
        static.StaticModel.from_pretrained(tmp_path / "out")


def test_damaged_files_are_named(tmp_path, random):
    model = model2vec.StaticModel(normal(random, 60, 8), word_tokenizer())
    model.save_pretrained(tmp_path / "m")
    compress_folder(tmp_path / "m", tmp_path / "out", random)
    config = tmp_path / "out" / "config.json"
    config.write_text(config.read_text().replace("float32", "int8"))
    with pytest.raises(InputError, match="cannot be decoded to int8"):
        static.StaticModel.from_pretrained(tmp_path / "out")
    config.write_text("[]")
    with pytest.raises(FormatError, match=r"config\.json holds a list"):
        static.StaticModel.from_pretrained(tmp_path / "out")
    config.write_text("{}")
    (tmp_path / "out" / "tokenizer.json").write_text("{}")
    with pytest.raises(FormatError, match=r"tokenizer\.json is not a file of the library"):
        static.StaticModel.from_pretrained(tmp_path / "out")


def test_without_model2vec_the_module_says_what_to_install():
    script = """
import sys
sys.modules["model2vec"] = None
try:
    import nncompress.static
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.endswith(' brings it: pip install "chainer-nncompress[hf]"\n')
    assert len(done.stdout.splitlines()) == 1


def test_wordllamas_vectors_come_from_its_table_and_tokenizer(random):
    wordllama = pytest.importorskip("wordllama")
    inference = pytest.importorskip("wordllama.inference")
    (file,) = (Path(wordllama.__file__).parent / "tokenizers").glob("l2_supercat*.json")
    codes = random.integers(16, size=(32_000, 8))
    table = CompressedEmbedding.from_codes(codes, random.normal(size=(128, 256)))
    tokenizer = wordllama.WordLlama.load_tokenizer(file)
    theirs = inference.WordLlamaInference(table.to_numpy(), tokenizer)
    texts = ["Compression of token embeddings.", "", "a b", "naïve café 東京 \U0001f600"]
    expected = theirs.embed(texts)
    np.testing.assert_allclose(table.encode(texts, theirs.tokenizer), expected, atol=1e-6)
    found = table.encode(texts[:1], theirs.tokenizer, normalize=True)
    np.testing.assert_allclose(found, theirs.embed(texts[:1], norm=True), atol=1e-6)
    # Its own class reads the rows from the compressed table, too.
    theirs.embedding = table.vectors
    np.testing.assert_array_equal(theirs.embed(texts), expected)
    assert json.dumps(theirs.rank("a", texts))
