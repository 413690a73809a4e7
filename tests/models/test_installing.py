import copy

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("numba")

import torch

import nncompress.hf  # noqa: F401
from nncompress import InputError, compress_model
from nncompress.embedding.bridges.torch_module import TableEmbedding
from nncompress.machine import Machine
from nncompress.models.decoding import decode_folder
from nncompress.models.forecast import forecast_model
from nncompress.plan import Plan
from tests.models import tiny_models
from tests.models.tiny_models import ROWS, outputs, saved, with_rows

IDS = torch.tensor([[1, 5, 399, 5], [0, 2, 3, 4]])
SETTINGS = {"cosine": 0.99, "threads": 1, "report": None}


def compressed(tmp_path, make):
    """Returns a model with the decoded rows, and what is loaded from its compressed folder."""
    original = saved(make, tmp_path / "model")
    result = compress_model(tmp_path / "model", tmp_path / "small", **SETTINGS)
    (rows,) = (table.to_numpy() for table in result.tables.values())
    return with_rows(original, rows), type(original).from_pretrained(tmp_path / "small")


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "make", [tiny_models.bart, tiny_models.gemma, tiny_models.marian, tiny_models.seamless]
)
def test_layers_that_multiply_rows_go_on_doing_so(tmp_path, make):
    original, model = compressed(tmp_path, make)
    close(model.get_input_embeddings()(IDS), original.get_input_embeddings()(IDS))
    close(outputs(model, IDS), outputs(original, IDS))
    model.resize_token_embeddings(ROWS + 3)
    close(outputs(model, IDS)[..., :ROWS], outputs(original, IDS))
    model.save_pretrained(tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again")
    assert torch.equal(outputs(again, IDS), outputs(model, IDS))
    again.get_input_embeddings().encode_added()  # whichever layer of them it is
    assert again.get_input_embeddings().num_embeddings == ROWS + 3


@pytest.mark.parametrize("make", [tiny_models.bart, tiny_models.gemma])
def test_they_multiply_in_half_precision_as_they_did(tmp_path, make):
    _, model = compressed(tmp_path, make)
    decode_folder(tmp_path / "small", tmp_path / "plain", "float32")
    kind = {"dtype": torch.bfloat16}
    plain = type(model).from_pretrained(tmp_path / "plain", **kind).get_input_embeddings()
    half = type(model).from_pretrained(tmp_path / "small", **kind).get_input_embeddings()
    assert torch.equal(half(IDS), plain(IDS))


@pytest.mark.parametrize("make", [tiny_models.quantized_bert, tiny_models.vit])
def test_a_layer_that_does_more_than_look_up_rows_is_refused(tmp_path, make):
    make().save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=r"_embeddings is a .*, which does more than"):
        compress_model(tmp_path / "model", tmp_path / "small", **SETTINGS)
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("make", [tiny_models.masked_bert, tiny_models.t5, tiny_models.bart])
def test_an_output_layer_is_untied_only_where_all_else_stays_as_it_is(tmp_path, make):
    saved(make, tmp_path / "model")
    paths = tmp_path / "model", tmp_path / "small"
    with pytest.raises(InputError, match=r"--untie was given, but then .* would not tie"):
        compress_model(*paths, untie=True, **SETTINGS)
    with pytest.raises(InputError, match="--untie was given"):
        forecast_model(*paths, Plan.of(cosine=0.99), Machine(), untie=True)


def test_a_head_is_a_layer_that_multiplies(tmp_path):
    saved(tiny_models.masked_bert, tmp_path / "model")
    for name in ("bert.embeddings.position_embeddings", "bert.embeddings.word_embeddings"):
        with pytest.raises(InputError, match="is not that of an output layer"):
            compress_model(tmp_path / "model", tmp_path / "small", heads=[name], **SETTINGS)


def test_a_whole_model_is_copied_and_saved(tmp_path):
    _, model = compressed(tmp_path, tiny_models.llama)
    torch.save(model, tmp_path / "whole.pt")
    read = torch.load(tmp_path / "whole.pt", weights_only=False)
    for other in (read, copy.deepcopy(model)):
        assert torch.equal(outputs(other, IDS), outputs(model, IDS))
        other.resize_token_embeddings(ROWS + 2)
        assert outputs(other, IDS).shape[-1] == ROWS + 2
        assert isinstance(other.get_input_embeddings(), TableEmbedding)
    assert outputs(model, IDS).shape[-1] == ROWS
