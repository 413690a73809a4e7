import copy
import json
import pickle

import numpy as np
import pytest

from nncompress import InputError
from nncompress.models.static_file import read_static
from tests.models.static_models import compress_folder, normal, some_texts, word_tokenizer

sentence_transformers = pytest.importorskip("sentence_transformers")
torch = pytest.importorskip("torch")
pytest.importorskip("nncompress.hf")  # is all that opening a folder takes
model_class = pytest.importorskip("sentence_transformers.base.model").BaseModel
modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")


def opened(folder):
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu")


@pytest.fixture
def compressed(tmp_path, random):
    """The folder of a compressed model, and the model of the decoded table."""
    plain = modules.StaticEmbedding(word_tokenizer(), embedding_weights=normal(random, 60, 8))
    model = sentence_transformers.SentenceTransformer(modules=[plain], device="cpu")
    model.save(str(tmp_path / "plain"), create_model_card=False)
    (table,) = compress_folder(tmp_path / "plain", tmp_path / "out", random)
    decoded = modules.StaticEmbedding(word_tokenizer(), embedding_weights=table.to_numpy())
    return tmp_path / "out", sentence_transformers.SentenceTransformer(
        modules=[decoded], device="cpu"
    )


def test_a_folder_opens_and_encodes_as_the_decoded_table_does(compressed, random):
    folder, decoded = compressed
    model, texts = opened(folder), some_texts(random)
    expected = decoded.encode(texts)
    np.testing.assert_allclose(model.encode(texts), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        model.encode(texts, prompt="w1 ", truncate_dim=3),
        decoded.encode(texts, prompt="w1 ", truncate_dim=3),
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip
    assert model.get_embedding_dimension() == 8
    assert model.max_seq_length == decoded.max_seq_length
    assert model.half().encode(texts).dtype == np.float16


def test_a_saved_model_opens_again(compressed, tmp_path, random):
    folder, _ = compressed
    model, texts = opened(folder), some_texts(random)
    model.save(str(tmp_path / "again"))
    np.testing.assert_array_equal(opened(tmp_path / "again").encode(texts), model.encode(texts))
    sizes = [(each / "model.safetensors").stat().st_size for each in (folder, tmp_path / "again")]
    assert sizes[0] == sizes[1]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.encode(texts), model.encode(texts))


def test_weights_and_mapping_of_model2vec_are_kept(tmp_path, random):
    model2vec = pytest.importorskip("model2vec")
    model = model2vec.StaticModel(
        normal(random, 20, 8), word_tokenizer(), normalize=True,
        weights=random.random(60), token_mapping=random.integers(20, size=60),
    )  # fmt: skip
    model.save_pretrained(tmp_path / "plain")
    (table,) = compress_folder(tmp_path / "plain", tmp_path / "out", random)
    model.embedding = table.to_numpy()
    model.save_pretrained(tmp_path / "decoded")
    texts = some_texts(random)
    expected = opened(tmp_path / "decoded").encode(texts)
    found = opened(tmp_path / "out")
    np.testing.assert_allclose(found.encode(texts), expected, rtol=1e-5, atol=1e-6)
    found.save(str(tmp_path / "again"))
    np.testing.assert_allclose(opened(tmp_path / "again").encode(texts), found.encode(texts))
    extras = read_static(tmp_path / "again" / "model.safetensors").embedding.extras
    assert extras.keys() == {"weights", "mapping"}


def test_a_trained_codebook_is_saved(compressed, tmp_path, random):
    folder, _ = compressed
    model, texts = opened(folder), some_texts(random)
    before = model.encode(texts)
    model[0].embedding.table.train_codebook()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(model.preprocess(texts))["sentence_embedding"].square().sum().backward()
    optimizer.step()
    assert (model.encode(texts) != before).any()
    model.save(str(tmp_path / "trained"))
    np.testing.assert_array_equal(opened(tmp_path / "trained").encode(texts), model.encode(texts))


def test_without_the_import_a_folder_is_refused_by_name(compressed, monkeypatch):
    monkeypatch.setattr(model_class, "_module_classes", {})
    with pytest.raises(ValueError, match=r"nncompress\.models\.static_embedding"):
        opened(compressed[0])


def test_what_a_folder_lacks_is_told(compressed):
    folder, _ = compressed
    word_tokenizer(61).save(str(folder / "tokenizer.json"))
    with pytest.raises(InputError, match="61 tokens, but the table has 60"):
        opened(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has no tokenizer\.json"):
        opened(folder)


def test_a_pickle_is_not_written(compressed, tmp_path):
    with pytest.raises(InputError, match="asks for a pickle"):
        opened(compressed[0]).save(str(tmp_path / "again"), safe_serialization=False)
    assert json.loads((compressed[0] / "modules.json").read_text())[0]["path"] == ""
