import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nncompress.cli import next_steps


def folder_with(path, **files):
    path.mkdir()
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("files", "opened"),
    [
        ({"config": {"architectures": ["BertModel"]}}, "AutoModel.from_pretrained"),
        ({"config": {"architectures": ["LlamaForCausalLM"]}}, "AutoModelForCausalLM.from_pretr"),
        ({"config": {}}, "AutoModel.from_pretrained"),
        ({"config": {}, "modules": []}, "SentenceTransformer"),
    ],
)
def test_a_folder_is_opened_by_two_lines_of_python(tmp_path, files, opened):
    folder = folder_with(tmp_path / 'my "small" folder', **files)
    lines = next_steps.after_folder(folder)
    assert len(lines) == 2
    compile("\n".join(lines), "next", "exec")
    assert lines[1].startswith(opened)
    assert json.dumps(str(folder)) in lines[1]


def test_a_run_of_a_script_is_decoded_by_a_script(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tools/train_comp.py"])
    place = Path("result/my run")
    assert next_steps.after_training(None, place) == [
        "python tools/infer_comp.py --model 'result/my run'"
    ]
    assert next_steps.after_training("train", place) == [
        "nncompress decode --model 'result/my run'"
    ]


def test_what_went_down_a_pipe_is_not_suggested():
    table = SimpleNamespace(has_words=True, index_to_key=["king"])
    assert next_steps.after_table(Path("/tmp/x/standard output.nnc"), table, "a.txt") == []
    assert next_steps.after_table(Path("a.nnc"), table, "/tmp/x/standard input.txt") == [
        "nncompress similar a.nnc king"
    ]
    assert next_steps.after_table(Path("a.nnc"), table, "a.npy", "--words", "a.word")[1:] == [
        "nncompress evaluate a.npy a.nnc --words a.word"
    ]

    words = Path("/tmp/x/standard input.txt")
    assert len(next_steps.after_table(Path("a.nnc"), table, "a.npy", "--words", words)) == 1


def test_a_table_is_asked_about_a_word_or_row_that_it_has():
    keys = ["the", "of", 2, "1990s", "king", "paris"]
    words = SimpleNamespace(has_words=True, index_to_key=keys)
    assert next_steps.example_word(words) == "king"
    for keys, word in ((["the", 1, "-n"], "the"), ([0, "--x", "%"], "%"), (["-"], "WORD")):
        words = SimpleNamespace(has_words=True, index_to_key=keys)
        assert next_steps.example_word(words) == word
    assert next_steps.example_word(SimpleNamespace(has_words=False)) == "0"


def test_a_file_that_looks_like_a_flag_is_named_with_its_directory():
    assert next_steps.command_line("similar", Path("-"), "a") == "nncompress similar ./- a"


def test_a_model2vec_folder_is_opened_by_its_own_class(tmp_path, monkeypatch):
    monkeypatch.setattr("nncompress.models.model2vec_folder.is_model2vec", lambda folder: True)
    first, second = next_steps.after_folder(tmp_path)
    assert first == "from nncompress.static import StaticModel"
    assert second == f'StaticModel.from_pretrained("{tmp_path}")'
