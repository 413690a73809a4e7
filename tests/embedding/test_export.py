import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.embedding.export import export
from nncompress.sources.tables import open_table


def read(path):
    with open_table(path) as table:
        rows = table.matrix.take(np.arange(len(table.matrix)))
        return rows, table.words


@pytest.mark.parametrize(
    ("name", "to"),
    [("x.txt", "glove"), ("x.txt", "word2vec"), ("x.bin", "word2vec"), ("x.npy", "npy")],
)
def test_what_is_exported_is_read_back(table, tmp_path, name, to):
    codes, codebook, _ = table
    words = [f"wörd\u00a0{i}" for i in range(700)]
    embedding = CompressedEmbedding.from_codes(codes, codebook, words)
    written = export(embedding, tmp_path / name, to)
    assert written[0] == tmp_path / name
    rows, read_words = read(tmp_path / name)
    assert (rows == embedding.to_numpy()).all()
    assert read_words == words


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gensim's
def test_gensim_reads_what_is_exported(embedding, tmp_path):
    models = pytest.importorskip("gensim.models")
    expected = embedding.to_numpy()
    plain = CompressedEmbedding(embedding.table, None)
    for path, to, load in [
        ("x.txt", "word2vec", models.KeyedVectors.load_word2vec_format),
        ("x.bin", "word2vec", lambda p: models.KeyedVectors.load_word2vec_format(p, binary=True)),
        ("x.glove", "glove",
         lambda p: models.KeyedVectors.load_word2vec_format(p, no_header=True)),
        ("x.kv", "gensim", models.KeyedVectors.load),
    ]:  # fmt: skip
        export(plain, tmp_path / path, to)
        loaded = load(str(tmp_path / path))
        assert loaded.index_to_key == [str(i) for i in range(700)]
        assert (loaded.vectors == expected).all()


def test_rows_without_a_word_are_left_out_of_text_and_kept_in_npy(table, tmp_path):
    codes, codebook, _ = table
    embedding = CompressedEmbedding.from_codes(codes, codebook, ["a", None, "c"])
    with pytest.warns(UserWarning, match="698 rows without a word are left out"):
        export(embedding, tmp_path / "x.txt", "glove")
    rows, words = read(tmp_path / "x.txt")
    assert words == ["a", "c"]
    assert (rows == embedding[["a", "c"]]).all()
    export(embedding, tmp_path / "x.npy", "npy")
    with pytest.warns(UserWarning, match="3 of 700 rows of"):
        rows, words = read(tmp_path / "x.npy")
    assert words == ["a", "", "c"]
    assert (rows == embedding.to_numpy()).all()


@pytest.mark.parametrize(
    ("word", "name", "to"),
    [
        *[(word, "x.txt", to) for word in ("a\nb", "a\tb", "a\r") for to in ("glove", "word2vec")],
        ("a b", "x.bin", "word2vec"),
        ("a\nb", "x.npy", "npy"),
    ],
)
@pytest.mark.filterwarnings("ignore:698 rows without a word")
def test_words_that_a_format_cannot_hold_are_refused(table, tmp_path, word, name, to):
    codes, codebook, _ = table
    embedding = CompressedEmbedding.from_codes(codes, codebook, ["x", word])
    assert list(embedding) == ["x", word]
    others = "gensim" if to == "npy" else "npy or gensim"
    with pytest.raises(InputError, match=f"has a character that .*; export to {others} instead"):
        export(embedding, tmp_path / name, to)
    assert list(tmp_path.iterdir()) == []


def test_texts_have_the_digits_that_word2vecs_have(embedding, tmp_path):
    plain = CompressedEmbedding(embedding.table, None)
    plain.save_word2vec_format(tmp_path / "saved.txt")
    export(plain, tmp_path / "x.txt", "word2vec")
    export(plain, tmp_path / "x.glove", "glove")
    text = (tmp_path / "saved.txt").read_bytes()
    assert (tmp_path / "x.txt").read_bytes() == text
    assert (tmp_path / "x.glove").read_bytes() == text.split(b"\n", 1)[1]


def test_unknown_formats_and_names_are_refused(embedding, tmp_path):
    with pytest.raises(InputError, match=r"would not be compressed, .* leave out \.gz"):
        export(embedding, tmp_path / "x.txt.gz", "glove")
    with pytest.raises(InputError, match="the format is 'csv'"):
        export(embedding, tmp_path / "x", "csv")
    with pytest.raises(InputError, match=r"does not end in \.npy"):
        export(embedding, tmp_path / "x", "npy")


def test_only_the_file_that_is_named_is_replaced(table, tmp_path):
    codes, codebook, words = table
    embedding = CompressedEmbedding.from_codes(codes, codebook, words)
    npy, word = tmp_path / "x.npy", tmp_path / "x.word"
    npy.write_text("old")
    word.write_text("another table's\n")
    with pytest.raises(InputError, match=r"x\.word already exists"):
        export(embedding, npy, "npy")
    assert (npy.read_text(), word.read_text()) == ("old", "another table's\n")
    word.unlink()
    export(embedding, npy, "npy")
    other = CompressedEmbedding.from_codes(codes, 2 * codebook, words)
    export(other, npy, "npy")  # the words are the same
    assert (np.load(npy) == other.to_numpy()).all()
    with pytest.raises(InputError, match=r"x\.word already exists"):
        export(CompressedEmbedding.from_codes(codes, codebook, words[::-1]), npy, "npy")
    assert (np.load(npy) == other.to_numpy()).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", "x.word"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gensim's
def test_gensim_has_its_two_files_together(random, tmp_path):
    models = pytest.importorskip("gensim.models")
    path, beside = tmp_path / "x.kv", tmp_path / "x.kv.vectors.npy"

    def embedding():
        codes = random.integers(4, size=(30_000, 2))
        codebook = random.normal(size=(8, 400)).astype(np.float32)
        return CompressedEmbedding.from_codes(codes, codebook)

    beside.write_text("mine")
    one = embedding()
    with pytest.raises(InputError, match=r"vectors\.npy already exists"):
        export(one, path, "gensim")
    assert [file.name for file in tmp_path.iterdir()] == [beside.name]
    beside.unlink()
    for _ in range(2):
        assert export(one, path, "gensim") == [path, beside]
    with pytest.raises(InputError, match=r"vectors\.npy already exists"):
        export(embedding(), path, "gensim")
    assert (models.KeyedVectors.load(str(path)).vectors == one.to_numpy()).all()


def test_words_of_another_table_are_not_left_beside_one_without(table, tmp_path):
    codes, codebook, _ = table
    (tmp_path / "x.word").write_text("precious\n")
    with pytest.raises(InputError, match=r"x\.word exists, and would be taken for the words"):
        export(CompressedEmbedding.from_codes(codes, codebook), tmp_path / "x.npy", "npy")
    assert [path.name for path in tmp_path.iterdir()] == ["x.word"]
