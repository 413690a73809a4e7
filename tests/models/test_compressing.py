import hashlib
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("numba")

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

import nncompress.hf
from nncompress import FormatError, InputError, compress_model
from nncompress.embedding.bridges.torch_head import TiedHead
from nncompress.embedding.bridges.torch_module import TableEmbedding
from nncompress.errors import NotGoodEnough, OutputError
from nncompress.models.decoding import decode_folder
from nncompress.models.folder import is_model_folder
from nncompress.models.readme import README
from tests.models import tiny_models
from tests.models.tiny_models import COLUMNS, ROWS, outputs, saved

KINDS = {
    kind.__name__: kind
    for kind in (tiny_models.bert, tiny_models.masked_bert, tiny_models.llama,
                 tiny_models.untied_llama, tiny_models.gpt2, tiny_models.t5)
}  # fmt: skip
IDS = torch.tensor([[1, 5, 399, 5], [0, 2, 3, 4]])


@pytest.fixture(params=KINDS)
def make(request):
    return KINDS[request.param]


def compressed(tmp_path, make, name="small", **settings):
    """Returns a model, what is loaded from its compressed folder, and the compressed table."""
    original = saved(make, tmp_path / "model")
    settings = {"cosine": 0.999, "threads": 1, "report": None} | settings
    result = compress_model(tmp_path / "model", tmp_path / name, **settings)
    return original, type(original).from_pretrained(tmp_path / name), result


def files_of(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_compressed_model_computes_with_the_decoded_rows(tmp_path, make):
    original, model, result = compressed(tmp_path, make)
    (rows,) = (table.to_numpy() for table in result.tables.values())
    assert np.abs(rows - original.get_input_embeddings().weight.detach().numpy()).max() < 0.4
    tiny_models.with_rows(original, rows)
    torch.testing.assert_close(outputs(model, IDS), outputs(original, IDS), atol=1e-5, rtol=1e-5)
    model.tie_weights()
    torch.testing.assert_close(outputs(model, IDS), outputs(original, IDS), atol=1e-5, rtol=1e-5)
    assert isinstance(model.get_input_embeddings(), TableEmbedding)


def test_all_other_tensors_keep_their_bytes_and_all_other_files_too(tmp_path, make):
    original = saved(make, tmp_path / "model")
    (tmp_path / "model/more/deep").mkdir(parents=True)
    (tmp_path / "model/more/deep/notes.txt").write_bytes(b"\x00notes\r\n")
    before = files_of(tmp_path / "model")
    compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)
    assert files_of(tmp_path / "model") == before
    after = files_of(tmp_path / "small")
    assert after.keys() - before.keys() == {README}
    assert before.keys() <= after.keys()
    changed = {str(name) for name in before if before[name] != after[name]}
    assert changed == {"config.json", "model.safetensors"}
    one = load_file(tmp_path / "model/model.safetensors")
    other = load_file(tmp_path / "small/model.safetensors")
    table = original.get_input_embeddings().weight
    gone = {name for name, each in one.items() if torch.equal(each, table)}
    assert len(gone) == 1
    (name,) = gone
    assert other.keys() - one.keys() == {name.removesuffix("weight") + "nnc"}
    for key in one.keys() - gone:
        assert torch.equal(one[key], other[key])
        assert one[key].dtype == other[key].dtype
    config = json.loads((tmp_path / "small/config.json").read_text())
    config.pop("quantization_config")
    assert config == json.loads((tmp_path / "model/config.json").read_text())


def test_a_loaded_model_is_saved_and_loaded_again(tmp_path, make):
    _, model, _ = compressed(tmp_path, make)
    model.save_pretrained(tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again")
    assert torch.equal(outputs(again, IDS), outputs(model, IDS))
    one, other = (load_file(tmp_path / f"{name}/model.safetensors") for name in ("small", "again"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_longer_vocabulary_is_saved_and_loaded_again(tmp_path, make):
    original, model, _ = compressed(tmp_path, make)
    before = outputs(model, IDS)
    model.resize_token_embeddings(ROWS + 3)
    assert model.config.vocab_size == ROWS + 3
    after = outputs(model, IDS)
    if after.shape[-1] != COLUMNS:  # logits
        assert after.shape[-1] == ROWS + 3
        after = after[..., :ROWS]
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    ids = torch.tensor([[1, ROWS + 2]])
    model.save_pretrained(tmp_path / "again")
    again = type(original).from_pretrained(tmp_path / "again")
    assert torch.equal(outputs(again, ids), outputs(model, ids))
    model.resize_token_embeddings(ROWS - 20)
    assert model.get_input_embeddings().num_embeddings == ROWS - 20
    outputs(model, torch.tensor([[1, ROWS - 21]]))


def test_it_is_decoded_for_tools_that_know_nothing_of_it(tmp_path, make):
    _, model, _ = compressed(tmp_path, make)
    for dtype, most in (("float32", 1e-6), ("float16", 1e-2), ("bfloat16", 1e-1)):
        decode_folder(tmp_path / "small", tmp_path / dtype, dtype)
        plain = type(model).from_pretrained(tmp_path / dtype, dtype=torch.float32)
        assert type(plain.get_input_embeddings()) is torch.nn.Embedding
        assert "quantization_config" not in (tmp_path / dtype / "config.json").read_text()
        torch.testing.assert_close(outputs(plain, IDS), outputs(model, IDS), atol=most, rtol=most)
    with pytest.raises(InputError, match="no compressed table"):
        decode_folder(tmp_path / "model", tmp_path / "x", "float32")


def test_a_model_in_several_files_is_compressed_where_its_table_lies(tmp_path):
    saved(tiny_models.llama, tmp_path / "model", max_shard_size="5KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 2
    compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    index = json.loads((tmp_path / "small/model.safetensors.index.json").read_text())
    found = {}
    for path in (tmp_path / "small").glob("*.safetensors"):
        found |= {name: (path.name, tensor) for name, tensor in load_file(path).items()}
    assert index["weight_map"] == {name: file for name, (file, _) in found.items()}
    assert index["metadata"]["total_size"] == sum(t.nbytes for _, t in found.values())
    model.resize_token_embeddings(ROWS + 30)
    model.save_pretrained(tmp_path / "again", max_shard_size="3KB")  # table and rows part
    decode_folder(tmp_path / "again", tmp_path / "plain", "float32")
    names = [n for p in (tmp_path / "plain").glob("*.safetensors") for n in load_file(p)]
    assert len(names) == len(set(names))
    assert not [n for n in names if n.endswith((".nnc", ".added"))]
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    torch.testing.assert_close(outputs(plain, IDS), outputs(model, IDS), atol=1e-5, rtol=1e-5)


def test_without_the_import_it_is_an_error_and_no_random_table(tmp_path, monkeypatch):
    compressed(tmp_path, tiny_models.bert)
    from transformers.quantizers import auto

    monkeypatch.delitem(auto.AUTO_QUANTIZATION_CONFIG_MAPPING, "nncompress")
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModel.from_pretrained(tmp_path / "small")


def test_an_output_layer_of_its_own_is_compressed_where_it_is_named(tmp_path):
    original, model, result = compressed(tmp_path, tiny_models.untied_llama, heads=["lm_head"])
    tables = {slot.tensor: table.to_numpy() for slot, table in result.tables.items()}
    assert tables.keys() == {"model.embed_tokens.weight", "lm_head.weight"}
    tiny_models.with_rows(original, tables["model.embed_tokens.weight"])
    with torch.no_grad():
        original.lm_head.weight.copy_(torch.from_numpy(tables["lm_head.weight"]))
    torch.testing.assert_close(outputs(model, IDS), outputs(original, IDS), atol=1e-5, rtol=1e-5)
    model.save_pretrained(tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again")
    assert torch.equal(outputs(again, IDS), outputs(model, IDS))
    base = AutoModel.from_pretrained(tmp_path / "small")
    assert isinstance(base.get_input_embeddings(), TableEmbedding)
    decode_folder(tmp_path / "small", tmp_path / "plain", "float32")
    plain = type(model).from_pretrained(tmp_path / "plain")
    torch.testing.assert_close(outputs(plain, IDS), outputs(model, IDS), atol=1e-5, rtol=1e-5)


def test_a_tied_output_layer_keeps_its_matrix_where_that_is_asked_for(tmp_path):
    original, model, result = compressed(tmp_path, tiny_models.llama, untie=True)
    assert result.untied
    assert torch.equal(model.lm_head.weight, original.lm_head.weight)
    assert not model.config.tie_word_embeddings
    assert isinstance(model.get_input_embeddings(), TableEmbedding)
    tied = compress_model(tmp_path / "model", tmp_path / "tied", cosine=0.999, report=None)
    assert tied.shared_with == ("lm_head.weight",)
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path / "tied").lm_head, TiedHead)


def test_a_head_of_additive_codes_is_read_from_the_codes(tmp_path):
    original, model, result = compressed(
        tmp_path, tiny_models.llama, cosine=None, num_codebooks=4, num_codewords=8, epochs=2
    )
    assert model.get_input_embeddings().decoded is None
    (rows,) = (table.to_numpy() for table in result.tables.values())
    tiny_models.with_rows(original, rows)
    torch.testing.assert_close(outputs(model, IDS), outputs(original, IDS), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_is_loaded_and_cast_in_half_precision(tmp_path, dtype):
    _, model, _ = compressed(tmp_path, tiny_models.llama)
    loaded = type(model).from_pretrained(tmp_path / "small", dtype=dtype)
    assert loaded.dtype == dtype
    assert outputs(loaded, IDS).dtype == dtype
    torch.testing.assert_close(outputs(model.to(dtype), IDS), outputs(loaded, IDS))


def test_the_codebook_is_trained_with_the_model_and_saved(tmp_path):
    _, model, _ = compressed(tmp_path, tiny_models.llama)
    model.get_input_embeddings().train_codebook()
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(4):
        loss = model(input_ids=IDS, labels=IDS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    model.eval().save_pretrained(tmp_path / "trained")
    again = type(model).from_pretrained(tmp_path / "trained")
    torch.testing.assert_close(outputs(again, IDS), outputs(model, IDS), atol=1e-5, rtol=1e-5)
    decode_folder(tmp_path / "trained", tmp_path / "plain", "float32")
    plain = type(model).from_pretrained(tmp_path / "plain")
    torch.testing.assert_close(outputs(plain, IDS), outputs(model, IDS), atol=1e-4, rtol=1e-4)


def test_text_is_generated_and_models_compile(tmp_path):
    _, model, _ = compressed(tmp_path, tiny_models.llama)
    found = model.generate(IDS, max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert found.shape == (2, 7)
    compiled = torch.compile(model.model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        compiled(input_ids=IDS).last_hidden_state, model.model(input_ids=IDS).last_hidden_state
    )


def test_the_folder_of_a_failed_requirement_is_not_written(tmp_path):
    saved(tiny_models.bert, tmp_path / "model")
    settings = {"cosine": 0.9, "report": None}
    with pytest.raises(NotGoodEnough, match="cosine"):
        compress_model(
            tmp_path / "model", tmp_path / "small", require={"cosine": 0.99999}, **settings
        )
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    compress_model(tmp_path / "model", tmp_path / "small", require={"cosine": 0.5}, **settings)
    assert (tmp_path / "small/config.json").is_file()


def test_the_smallest_size_that_is_enough_is_found(tmp_path):
    saved(tiny_models.bert, tmp_path / "model")
    lines = []
    result = compress_model(
        tmp_path / "model", tmp_path / "small", require={"cosine": 0.95}, find=True,
        report=lines.append,
    )  # fmt: skip
    assert result.report.figures["cosine"].value >= 0.95
    assert any("is enough" in line for line in lines)
    assert any("falls short" in line or "cannot be" in line for line in lines)
    AutoModel.from_pretrained(tmp_path / "small")


def broken(folder, what):
    """Spoils a model's folder; returns what the message has to say, and whose mistake it is."""
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    if what == "no weights":
        weights.unlink()
        return InputError, "has no model.safetensors"
    if what == "a pickle":
        weights.rename(folder / "pytorch_model.bin")
        return InputError, r"is a pickle, .* convert it first: .*save_pretrained"
    if what == "cut short":
        weights.write_bytes(weights.read_bytes()[:-5])
        return FormatError, "model.safetensors"
    if what == "another size":
        config["vocab_size"] = 401
        (folder / "config.json").write_text(json.dumps(config))
        return InputError, r"has shape \(400, 16\), but .* its shape is \(401, 16\)"
    if what == "quantized":
        config["quantization_config"] = {"quant_method": "gptq"}
        (folder / "config.json").write_text(json.dumps(config))
        return InputError, "is already quantized, by 'gptq'"
    if what == "no table":
        tensors = load_file(weights)
        tensors.pop("model.embed_tokens.weight")
        save_file(tensors, weights, {"format": "pt"})
        return InputError, "has no tensor 'model.embed_tokens.weight', the model's token"
    if what == "more tokens":
        words = "\n".join(f"t{i}" for i in range(401))
        (folder / "vocab.txt").write_text(words)
        return InputError, "401"
    if what == "unknown kind":
        config["model_type"] = "no-such-model"
        (folder / "config.json").write_text(json.dumps(config))
        return InputError, "cannot use .*config.json"
    (folder / "config.json").write_text("{")
    return FormatError, "config.json is not JSON"


@pytest.mark.parametrize("what", [
    "no weights", "a pickle", "cut short", "another size", "quantized", "no table", "more tokens",
    "unknown kind", "no json",
])  # fmt: skip
def test_a_folder_that_cannot_be_used_is_refused_and_nothing_written(tmp_path, what):
    saved(tiny_models.llama, tmp_path / "model")
    kind, message = broken(tmp_path / "model", what)
    with pytest.raises(kind, match=message) as caught:
        compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_missing_file_of_several_is_named(tmp_path):
    saved(tiny_models.llama, tmp_path / "model", max_shard_size="5KB")
    next((tmp_path / "model").glob("*-00002-*")).unlink()
    with pytest.raises(InputError, match=r"00002-.* is missing, one of the model's 3 files"):
        compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)


def test_settings_that_do_not_fit_the_model_are_refused(tmp_path):
    saved(tiny_models.untied_llama, tmp_path / "model")
    fails = {
        "--untie was given, but no output layer": {"untie": True},
        "has no tensor 'head.weight'": {"heads": ["head"]},
        "is not that of an output layer": {"heads": ["model.embed_tokens.weight"]},
        "--find searches for the smallest size that meets": {"find": True},
        "searches for the size, but ": {"find": True, "require": {"cosine": 0.9}},
        "sts=-0.5 is required": {"require": {"sts": -0.5}},
    }
    for message, settings in fails.items():
        with pytest.raises(InputError, match=message):
            compress_model(
                tmp_path / "model", tmp_path / "small", report=None,
                **({} if message.startswith("--find") else {"cosine": 0.999}), **settings,
            )  # fmt: skip
    (tmp_path / "small").mkdir()
    (tmp_path / "small/x").touch()
    with pytest.raises(InputError, match="small exists; wanted a new name"):
        compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)
    with pytest.raises(InputError, match="is inside"):
        compress_model(tmp_path / "model", tmp_path / "model/small", cosine=0.999, report=None)
    shutil.rmtree(tmp_path / "small")


def test_tensors_that_repeat_the_table_are_left_out(tmp_path):
    original = saved(tiny_models.llama, tmp_path / "model")
    tensors = load_file(tmp_path / "model/model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, tmp_path / "model/model.safetensors", {"format": "pt"})
    result = compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)
    assert "lm_head.weight" not in load_file(tmp_path / "small/model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    (rows,) = (table.to_numpy() for table in result.tables.values())
    tiny_models.with_rows(original, rows)
    torch.testing.assert_close(outputs(model, IDS), outputs(original, IDS), atol=1e-5, rtol=1e-5)


def test_it_is_registered_once():
    assert nncompress.hf.METHOD == "nncompress"
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

    assert AUTO_QUANTIZER_MAPPING["nncompress"] is nncompress.hf.NncQuantizer


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_size": "x"}, {"hidden_size": -1}, {"num_attention_heads": 0},
        {"num_hidden_layers": 1_000_000_000}, {"architectures": 3}, {"model_type": []},
    ],
)  # fmt: skip
def test_a_description_that_no_model_can_be_made_of_is_refused_in_a_line(tmp_path, settings):
    saved(tiny_models.bert, tmp_path / "model")
    path = tmp_path / "model/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(InputError, match=r"config.json") as caught:
        compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)
    assert "\n" not in str(caught.value)


def test_a_description_names_classes_of_models_and_nothing_else(tmp_path):
    saved(tiny_models.bert, tmp_path / "model")
    path = tmp_path / "model/config.json"
    settings = {"architectures": ["pipeline"], "quantization_config": None}
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)


@pytest.mark.parametrize("metadata", [None, "x", {"total_size": "x"}])
def test_an_index_may_have_any_metadata(tmp_path, metadata):
    saved(tiny_models.llama, tmp_path / "model", max_shard_size="5KB")
    path = tmp_path / "model/model.safetensors.index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metadata": metadata}))
    compress_model(tmp_path / "model", tmp_path / "small", cosine=0.999, report=None)
    index = json.loads((tmp_path / "small" / path.name).read_text())
    assert index["metadata"] == metadata


def test_outputs_and_arguments_that_cannot_be_are_refused_before_work(tmp_path):
    saved(tiny_models.bert, tmp_path / "model")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    (tmp_path / "bow").mkdir()
    (tmp_path / "bow/modules.json").write_text("[]")
    for folder, output, settings, kind, message in [
        ("model", "loop", {}, InputError, "loop is a link to itself"),
        ("model", "file/x", {}, OutputError, "file/x cannot be written"),
        ("model", "x" * 300, {}, OutputError, "x cannot be written"),
        ("none", "x", {}, InputError, "none does not exist; wanted a model's folder"),
        ("bow", "x", {}, InputError, "not a model of a known kind"),
        ("model", "x", {"heads": "lm_head"}, InputError, "heads is 'lm_head'; wanted a list"),
        ("model", "x", {"pairs": "p.tsv"}, InputError, "pairs is 'p.tsv'; wanted a list"),
    ]:
        lines = []
        with pytest.raises(kind, match=message):
            compress_model(tmp_path / folder, tmp_path / output, report=lines.append, **settings)
        assert not lines
    assert is_model_folder(tmp_path / "bow")  # and does not become a file of that name


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"num_bytes": 1 << 40}, "according to config.json its type"),
        ({"num_bytes": -1}, "has .* for the compressed table"),
        ({"num_added": 3}, "has no tensor 'embeddings.word_embeddings.added'"),
        ({"trained": {"codebook": [1 << 40, 16]}}, "no tensor .*codebook"),
        ({"num_embeddings": 399}, "of shape"),
        ({"is_head": True}, "but the model has Embedding of shape"),
    ],
)
def test_a_damaged_folder_is_refused_when_it_is_loaded_and_decoded(tmp_path, facts, message):
    compressed(tmp_path, tiny_models.bert)
    config = json.loads((tmp_path / "small/config.json").read_text())
    (table,) = config["quantization_config"]["tables"].values()
    table.update(facts)
    (tmp_path / "small/config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        AutoModel.from_pretrained(tmp_path / "small")
    if "is_head" not in facts:  # which a decoded folder has no word of
        with pytest.raises(InputError):
            decode_folder(tmp_path / "small", tmp_path / "plain", "float32")
        assert not (tmp_path / "plain").exists()


def test_a_table_of_another_type_is_refused(tmp_path):
    compressed(tmp_path, tiny_models.bert)
    path = tmp_path / "small/model.safetensors"
    tensors = load_file(path)
    tensors["embeddings.word_embeddings.nnc"] = tensors["embeddings.word_embeddings.nnc"].float()
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(FormatError, match=r"has type F32 .* its type is U8"):
        AutoModel.from_pretrained(tmp_path / "small")


def test_a_folder_without_a_readme_tells_how_it_is_opened_until_it_is_decoded(tmp_path):
    compressed(tmp_path, tiny_models.bert)
    (output,) = (path.parent for path in tmp_path.glob("*/README.md"))
    assert (
        "Write `import nncompress.hf` before this model is opened"
        in (output / "README.md").read_text()
    )
    decode_folder(output, tmp_path / "decoded", "float32")
    assert not (tmp_path / "decoded/README.md").exists()
    (output / "README.md").write_text("my own")
    decode_folder(output, tmp_path / "again", "float32")
    assert (tmp_path / "again/README.md").read_text() == "my own"


def test_a_folder_that_is_not_there_is_told_to_be_downloaded(tmp_path):
    message = r"does not exist; wanted a model's folder on this machine \(.* hf download"
    with pytest.raises(InputError, match=message):
        compress_model(tmp_path / "bge-small", tmp_path / "out")
