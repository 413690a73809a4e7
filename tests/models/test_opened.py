import numpy as np
import pytest

from nncompress import InputError
from tests.models.static_models import some_texts, word_tokenizer

pytest.importorskip("sentence_transformers")
from nncompress.models.opened import (
    is_language_model,
    open_language_model,
    open_sentence_encoder,
)
from tests.models.small_models import (
    DIM,
    TOKENS,
    save_bert,
    save_gpt2,
    table_of,
    torch,
    transformers,
)


def save_sentence_transformer(folder):
    from sentence_transformers import SentenceTransformer

    plain = folder.parent / "plain"
    save_bert(plain)
    SentenceTransformer(str(plain), device="cpu").save(str(folder))


def save_static_embedding(folder):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    weights = np.random.default_rng(3).normal(size=(TOKENS, DIM)).astype(np.float32)
    module = StaticEmbedding(word_tokenizer(TOKENS), embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save(str(folder))


def save_model2vec(folder):
    model2vec = pytest.importorskip("model2vec")
    weights = np.random.default_rng(3).normal(size=(TOKENS, DIM)).astype(np.float32)
    model2vec.StaticModel(weights, word_tokenizer(TOKENS)).save_pretrained(str(folder))


@pytest.mark.parametrize(
    "save", [save_bert, save_sentence_transformer, save_static_embedding, save_model2vec]
)
def test_encoders_give_the_vectors_of_their_library_and_the_rows_of_their_file(
    save, tmp_path, random
):
    from sentence_transformers import SentenceTransformer

    save(tmp_path / "m")
    assert not is_language_model(tmp_path / "m")
    model = open_sentence_encoder(tmp_path / "m")
    texts = some_texts(random)[:-3]
    if save is save_model2vec:
        import model2vec

        expected = model2vec.StaticModel.from_pretrained(str(tmp_path / "m")).encode(texts)
    else:
        expected = SentenceTransformer(str(tmp_path / "m"), device="cpu").encode(texts)
    np.testing.assert_allclose(model.encode(texts), expected, rtol=1e-5, atol=1e-6)
    table = table_of(tmp_path / "m")
    assert model.num_rows == TOKENS
    numbers = np.array([0, 7, 59, 7])
    np.testing.assert_allclose(model.rows(numbers), table[numbers], rtol=1e-6)
    assert (model.words[1], model.words[59]) == ("w1", "w59")


def test_a_language_model_gives_the_logits_of_transformers(tmp_path):
    save_gpt2(tmp_path / "m")
    assert is_language_model(tmp_path / "m")
    model = open_language_model(tmp_path / "m")
    ids = model.token_ids("w4 w5 nothing w59")
    assert ids.tolist() == [4, 5, 0, 59]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    expected = theirs(torch.tensor([[4, 5, 0, 59]])).logits[0].detach().numpy()
    np.testing.assert_allclose(model.logits(ids), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        model.rows(np.arange(TOKENS)), theirs.transformer.wte.weight.detach().numpy()
    )
    assert model.window == 32


def test_what_a_tokenizer_puts_before_a_text_stands_before_each_window(tmp_path):
    from tokenizers.processors import TemplateProcessing

    save_gpt2(tmp_path / "m")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "m")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="w3 $A", special_tokens=[("w3", 3)]
    )
    tokenizer.save_pretrained(tmp_path / "m")
    model = open_language_model(tmp_path / "m")
    ids = model.token_ids("w4 w5")
    assert ids.tolist() == [4, 5]
    assert model.window == 31
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    expected = theirs(torch.tensor([[3, 4, 5]])).logits[0, 1:].detach().numpy()
    np.testing.assert_allclose(model.logits(ids), expected, rtol=1e-5, atol=1e-5)


def test_folders_that_cannot_be_opened_are_told_in_one_line(tmp_path):
    for opens in (open_language_model, open_sentence_encoder):
        with pytest.raises(InputError, match="none is not a directory; wanted a model's folder"):
            opens(tmp_path / "none")
    save_gpt2(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle"):
        open_language_model(tmp_path / "m")
    (tmp_path / "m" / "pytorch_model.bin").rename(tmp_path / "m" / "model.safetensors")
    data = (tmp_path / "m" / "model.safetensors").read_bytes()
    (tmp_path / "m" / "model.safetensors").write_bytes(data[:99])
    with pytest.raises(InputError, match="m cannot be opened as a model: "):
        open_language_model(tmp_path / "m")
