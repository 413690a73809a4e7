import json
from pathlib import Path

import numpy as np
import pytest

from nncompress import FormatError, InputError
from nncompress.formats.safetensors import write_tensors
from nncompress.models import model2vec_folder
from nncompress.models.static_file import read_static
from tests.models.static_models import compress_folder, normal, word_tokenizer

OLD = "sentence_transformers.models.StaticEmbedding"
NEW = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
OLDER_SAVED = "sentence_transformers.models.StaticEmbedding.StaticEmbedding"
NORMALIZE = {"idx": 1, "name": "1", "path": "1_Normalize", "type": "x.Normalize"}


def sentence_transformers_folder(path, random, kind=OLD, own="", **tensors):
    tensors = tensors or {"embedding.weight": normal(random, 60, 8)}
    module = path / own
    module.mkdir(parents=True)
    write_tensors(module / "model.safetensors", tensors, {})
    word_tokenizer().save(str(module / "tokenizer.json"))
    modules = [{"idx": 0, "name": "0", "path": own, "type": kind}, NORMALIZE]
    (path / "modules.json").write_text(json.dumps(modules))
    return path


def model2vec_folder_of(path, **tensors):
    path.mkdir()
    write_tensors(path / "model.safetensors", tensors, {})
    word_tokenizer().save(str(path / "tokenizer.json"))
    config = {"model_type": "model2vec", "normalize": True, "embedding_dtype": "float64"}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("kind", [OLD, NEW, OLDER_SAVED])
@pytest.mark.parametrize("own", ["", "0_StaticEmbedding"])
def test_a_static_module_is_found_where_modules_json_has_it(tmp_path, random, kind, own):
    folder = sentence_transformers_folder(tmp_path / "m", random, kind, own)
    assert model2vec_folder.recognizes(folder)
    (slot,) = model2vec_folder.read(folder)
    assert slot.file == Path(own, "model.safetensors")
    assert slot.tokens == Path(own, "tokenizer.json")
    assert (slot.tensor, slot.num_rows, slot.dim) == ("embedding.weight", 60, 8)
    changed = model2vec_folder.changed_files(folder)
    assert changed.keys() == {Path("modules.json")}
    modules = json.loads(changed[Path("modules.json")])
    assert modules[0]["type"] == model2vec_folder.COMPRESSED_TYPE
    assert modules[1] == NORMALIZE


def test_a_model2vec_folder_is_known_by_its_tensor(tmp_path, random):
    folder = model2vec_folder_of(tmp_path / "m", embeddings=normal(random, 60, 8))
    assert model2vec_folder.recognizes(folder)
    (slot,) = model2vec_folder.read(folder)
    assert (slot.tensor, slot.compressed, slot.num_rows) == ("embeddings", "embeddings.nnc", 60)
    other = model2vec_folder_of(tmp_path / "other", **{"wte.weight": normal(random, 60, 8)})
    assert not model2vec_folder.recognizes(other)
    assert not model2vec_folder.recognizes(tmp_path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
def test_config_json_tells_that_the_table_is_compressed_and_of_which_type(tmp_path, dtype):
    folder = model2vec_folder_of(tmp_path / "m", embeddings=np.ones((60, 8), dtype))
    assert len(model2vec_folder.read(folder)) == 1
    config = json.loads(model2vec_folder.changed_files(folder)[Path("config.json")])
    assert config["quantization_config"] == {"quant_method": "nncompress"}
    assert config["embedding_dtype"] == ("float16" if dtype is np.float16 else "float32")
    assert config["normalize"] is True


def test_fewer_rows_than_tokens_are_taken_with_a_mapping_and_have_no_tokens(tmp_path, random):
    tensors = {"mapping": random.integers(7, size=60), "embeddings": normal(random, 7, 8)}
    folder = model2vec_folder_of(tmp_path / "m", **tensors)
    (slot,) = model2vec_folder.read(folder)
    assert (slot.num_rows, slot.tokens) == (7, None)


def test_files_are_restored_when_tables_are_decoded(tmp_path, random):
    folder = model2vec_folder_of(tmp_path / "m", embeddings=normal(random, 60, 8))
    modules = [{"idx": 0, "name": "0", "path": ".", "type": OLD}]
    (folder / "modules.json").write_text(json.dumps(modules))
    compress_folder(folder, tmp_path / "out", random)
    assert model2vec_folder.recognizes(tmp_path / "out")
    assert model2vec_folder.weight_files(tmp_path / "out") == [Path("model.safetensors")]
    restored = model2vec_folder.restored_files(tmp_path / "out", "float16")
    assert json.loads(restored[Path("modules.json")]) == modules
    before = json.loads((folder / "config.json").read_text())
    config = json.loads(restored[Path("config.json")])
    assert config == before | {"embedding_dtype": "float16"}


def test_a_table_that_is_compressed_already_is_refused(tmp_path, random):
    folder = sentence_transformers_folder(tmp_path / "m", random)
    compress_folder(folder, tmp_path / "out", random)
    with pytest.raises(InputError, match=r"already compressed, as 'embedding\.nnc'"):
        model2vec_folder.read(tmp_path / "out")


def test_a_tokenizer_larger_than_the_table_is_refused(tmp_path, random):
    folder = model2vec_folder_of(tmp_path / "m", embeddings=normal(random, 59, 8))
    with pytest.raises(InputError, match="60 tokens, but the table has 59 rows"):
        model2vec_folder.read(folder)
    tensors = {"mapping": np.zeros(58, np.int64), "embeddings": normal(random, 7, 8)}
    folder = model2vec_folder_of(tmp_path / "mapped", **tensors)
    with pytest.raises(InputError, match="58 tokens mapped"):
        model2vec_folder.read(folder)


def test_a_pickle_is_refused_with_what_converts_it(tmp_path, random):
    folder = sentence_transformers_folder(tmp_path / "m", random)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"is a pickle.*SentenceTransformer\(.*\)\.save"):
        model2vec_folder.read(folder)


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json"])
def test_missing_files_are_named(tmp_path, random, missing):
    folder = sentence_transformers_folder(tmp_path / "m", random)
    (folder / missing).unlink()
    with pytest.raises(InputError, match=f"{missing} does not exist"):
        model2vec_folder.read(folder)


def test_weights_that_do_not_fit_are_refused(tmp_path, random):
    tensors = {"weights": np.ones(59), "embeddings": normal(random, 60, 8)}
    with pytest.raises(InputError, match="each of 60 tokens"):
        model2vec_folder.read(model2vec_folder_of(tmp_path / "m", **tensors))
    tensors = {"mapping": np.full(60, 9), "embeddings": normal(random, 7, 8)}
    with pytest.raises(InputError, match="wanted 0 to 6"):
        model2vec_folder.read(model2vec_folder_of(tmp_path / "mapped", **tensors))


def test_bfloat16_weights_are_not_taken_for_integers(tmp_path, random):
    tensors = {"embeddings": normal(random, 60, 8), "weights": np.ones(60, np.uint16)}
    folder = model2vec_folder_of(tmp_path / "m", **tensors)
    path = folder / "model.safetensors"
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].replace(b'"U16"', b'"BF16"')
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    with pytest.raises(FormatError, match="'weights' in BF16"):
        model2vec_folder.read(folder)


@pytest.mark.parametrize("tensor", [np.zeros(60, np.float32), np.zeros((60, 8), np.int64)])
def test_what_is_no_matrix_of_numbers_is_refused(tmp_path, random, tensor):
    folder = sentence_transformers_folder(tmp_path / "m", random, **{"embedding.weight": tensor})
    with pytest.raises(InputError, match="wanted a matrix of numbers"):
        model2vec_folder.read(folder)


@pytest.mark.parametrize("path", ["../m", "/etc", "a\\b"])
def test_modules_outside_the_folder_are_refused(tmp_path, path):
    modules = [{"idx": 0, "name": "0", "path": path, "type": OLD}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(FormatError, match="outside its folder"):
        model2vec_folder.recognizes(tmp_path)


def test_damaged_weights_of_a_compressed_table_are_refused(tmp_path, random):
    folder = sentence_transformers_folder(tmp_path / "m", random)
    compress_folder(folder, tmp_path / "out", random)
    path = tmp_path / "out" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"model\.safetensors, tensor 'embedding\.nnc'"):
        read_static(path)
    path.write_bytes(content[:-1])
    with pytest.raises(FormatError):
        read_static(path)
    with pytest.raises(FormatError, match="not compressed"):
        read_static(folder / "model.safetensors")
