import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError, compress
from nncompress.cli.main import main
from nncompress.formats.safetensors import write_tensors
from tests.models.static_models import normal, some_texts, word_tokenizer

# Tables of so few rows take more than their vectors.
pytestmark = pytest.mark.filterwarnings("ignore:the result will take")


@pytest.fixture
def folder(tmp_path, random):
    """A model2vec folder of 60 tokens with weights."""
    weights = random.random(60)
    write_tensors(
        tmp_path / "model.safetensors",
        {"weights": weights, "embeddings": normal(random, 60, 8)},
        {},
    )
    word_tokenizer().save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def means(embedding, weights, texts):
    """The means of tokens' rows times their weights."""
    numbers = ([n if n < 60 else 0 for n in map(int, text[1:].split(" w"))] for text in texts)
    return [(embedding.to_numpy()[n] * weights[n, None]).mean(axis=0) for n in numbers]


@pytest.mark.parametrize("name", ["", "model.safetensors"])
def test_the_weights_of_a_static_model_go_with_its_table(folder, random, tmp_path, name):
    out = tmp_path / "table.nnc"
    main(["compress", str(folder / name), str(out), "--target-cosine", "0.99"])
    again = compress(folder / name, cosine=0.99, report=None)
    texts = [text for text in some_texts(random) if text and text != "zzz"]
    for embedding in (CompressedEmbedding.load(out), again):
        weights = np.asarray(embedding.extras["weights"])
        assert weights.shape == (60,)
        encoded = embedding.encode(texts, folder)
        np.testing.assert_allclose(encoded, means(embedding, weights, texts), rtol=1e-4, atol=1e-5)


def test_weights_are_as_many_as_the_rows_in_use(folder):
    embedding = compress(folder, cosine=0.99, limit=40, report=None)
    assert embedding.extras["weights"].shape == (40,)


def test_other_arrays_beside_a_table_are_no_weights(random, tmp_path):
    rows, path = normal(random, 60, 8), tmp_path / "model.safetensors"
    for tensors in (
        {"embeddings": rows, "weights": normal(random, 8)},
        {"wte.weight": rows, "weights": normal(random, 60)},
    ):
        write_tensors(path, tensors, {})
        assert compress(path, cosine=0.99, report=None).extras == {}


def test_a_mapping_of_tokens_is_kept_by_a_folder_alone(random, tmp_path):
    path = tmp_path / "model.safetensors"
    mapping = np.arange(60, dtype=np.int64) % 30
    write_tensors(path, {"mapping": mapping, "embeddings": normal(random, 30, 8)}, {})
    with pytest.raises(InputError, match="mapping of tokens to rows"):
        compress(path, tmp_path / "x.nnc", report=None)
    assert list(tmp_path.iterdir()) == [path]


def test_weights_of_a_table_that_is_too_large_for_them_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("nncompress.opening.is_large", lambda num_rows, dim: True)
    with pytest.raises(InputError, match="weights beside its 60 rows"):
        compress(folder, tmp_path / "x.nnc", report=None)
