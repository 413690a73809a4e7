import numpy as np
import pytest

from nncompress import (
    CompressedEmbedding,
    EmbeddingCompressor,
    InputError,
    TrainingOptions,
    compress,
    learn,
)
from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.snapshot import save_model
from nncompress.refinement.refine import RefinementSettings


def test_another_process_evaluates_and_exports_alike(matrix, tmp_path):
    compressor = EmbeddingCompressor(4, 8, tmp_path / "model.v1")
    lines = []
    compressor.train(matrix.astype(np.float64), max_epochs=30, batch_size=64, report=lines.append)
    assert len(lines) == 30
    distance = compressor.evaluate(matrix)
    again = EmbeddingCompressor(4, 8, tmp_path / "model.v1")
    assert again.evaluate(matrix) == distance
    again.export(matrix, tmp_path / "out.v1")
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.v1.npz",
        "out.v1.codes",
        "out.v1.codebook.npy",
    }
    codes = np.loadtxt(tmp_path / "out.v1.codes", dtype=int)
    one_hot = np.eye(8)[codes].reshape(300, -1)
    exact = np.linalg.norm(matrix - one_hot @ np.load(tmp_path / "out.v1.codebook.npy"), axis=1)
    assert distance == pytest.approx(exact.mean(), rel=1e-5)


def test_training_brings_the_distance_down(matrix, tmp_path):
    few, many = (EmbeddingCompressor(8, 16, tmp_path / name) for name in ("few", "many"))
    little = RefinementSettings(annealing_rounds=0, rounds=1)
    few.train(matrix, max_epochs=1, refinement=little, report=None)
    many.train(matrix, max_epochs=300, refinement=little, report=None)
    baseline = np.linalg.norm(matrix - matrix.mean(axis=0), axis=1).mean()
    assert many.evaluate(matrix) < 0.5 * baseline
    assert many.evaluate(matrix) < few.evaluate(matrix)


def test_refined_codes_are_kept_and_new_rows_are_encoded_against_the_final_codebook(
    matrix, random, tmp_path
):
    compressor = EmbeddingCompressor(4, 8, tmp_path / "m")
    compressor.train(matrix, max_epochs=30, report=None)
    again = EmbeddingCompressor(4, 8, tmp_path / "m")
    codes = again.encode(matrix.astype(np.float64))
    assert codes.dtype == np.uint8
    assert (codes == compressor.encode(matrix)).all()
    again.export(matrix, tmp_path / "out")
    codebook = np.load(tmp_path / "out.codebook.npy")

    def distances(rows, codes):
        return np.linalg.norm(rows - np.eye(8)[codes].reshape(len(codes), -1) @ codebook, axis=1)

    # The codebook is the best one for the codes: it was made after them.
    best, *_ = np.linalg.lstsq(np.eye(8)[codes].reshape(300, -1), matrix, rcond=None)
    least = ((matrix - np.eye(8)[codes].reshape(300, -1) @ best) ** 2).sum()
    assert (distances(matrix, codes) ** 2).sum() == pytest.approx(least, rel=1e-4)

    new = (matrix[:100] + 0.1 * random.normal(size=(100, 12))).astype(np.float32)
    found = again.encode(new)
    assert (found == again.encode(new)).all()
    assert distances(new, found).mean() < 1.1 * distances(matrix, codes).mean()
    assert again.evaluate(new) == pytest.approx(distances(new, found).mean(), rel=1e-5)


def test_the_paper_recipe_is_not_refined(matrix, tmp_path):
    compressor = EmbeddingCompressor(4, 8, tmp_path / "m")
    compressor.train(matrix, recipe="paper", max_epochs=5, report=None)
    with np.load(tmp_path / "m.npz") as archive:
        assert not [key for key in archive.files if key.startswith("refined")]


def test_paths_are_taken_for_matrices(matrix, matrix_path, tmp_path):
    compressor = EmbeddingCompressor(2, 4, tmp_path / "m")
    compressor.train(matrix_path, max_epochs=2, report=None)
    assert compressor.evaluate(str(matrix_path)) == compressor.evaluate(matrix)


def test_the_names_of_the_authors_class_work(matrix, tmp_path):
    theirs = EmbeddingCompressor(n_codebooks=4, n_centroids=8, model_path=tmp_path / "theirs")
    assert (theirs.M, theirs.K) == (4, 8)
    theirs.train(embed_matrix=matrix, max_epochs=2, report=None)
    ours = EmbeddingCompressor(4, 8, tmp_path / "ours")
    ours.train(matrix, 2, report=None)
    assert theirs.evaluate(embed_matrix=matrix) == ours.evaluate(matrix)
    theirs.export(embed_matrix=matrix, prefix=tmp_path / "exported")
    assert (tmp_path / "exported.codes").read_text().count("\n") == 300
    with pytest.raises(InputError, match="a directory; wanted a path to which file"):
        EmbeddingCompressor(4, 8, tmp_path)
    for arguments, message in [
        ({"num_codebooks": 4, "n_codebooks": 4, "num_codewords": 8}, "but both were given"),
        ({"num_codebooks": 4}, "num_codewords and n_centroids .* but neither was given"),
    ]:
        with pytest.raises(InputError, match=message):
            EmbeddingCompressor(**arguments, model_path=tmp_path / "m")


@pytest.mark.parametrize("recipe", ["fast", "paper", "authors"])
def test_a_recipe_is_the_same_from_every_door(matrix, matrix_path, tmp_path, recipe):
    compressor = EmbeddingCompressor(4, 8, tmp_path / "m")
    compressor.train(matrix, 3, recipe=recipe, report=None)
    embedding = compress(
        matrix_path, num_codebooks=4, num_codewords=8, recipe=recipe, epochs=3, report=None
    )
    options = TrainingOptions(recipe=recipe, epochs=3)
    learned = learn(matrix, options.resolve(len(matrix), 4, 8))
    with np.load(tmp_path / "m.npz") as archive:
        assert (archive["codebook"] == learned.chain.codebook.array).all()
    codes = compressor.encode(matrix)
    assert (embedding.table.codes(slice(None)) == codes).all()
    if recipe != "fast":  # it is refined
        assert (codes == learned.chain.encode(matrix)).all()


def test_refinement_settings_for_a_recipe_that_is_not_refined_are_refused(matrix, tmp_path):
    compressor = EmbeddingCompressor(4, 8, tmp_path / "m")
    with pytest.raises(InputError, match="the recipe paper does not refine"):
        compressor.train(matrix, recipe="paper", refinement=RefinementSettings(), report=None)
    assert list(tmp_path.iterdir()) == []


def test_mistakes(matrix, tmp_path):
    with pytest.raises(InputError, match="M is 0"):
        EmbeddingCompressor(0, 16, tmp_path / "m")
    with pytest.raises(InputError, match="GPU 9 was requested"):
        EmbeddingCompressor(4, 16, tmp_path / "m", gpu=9)
    compressor = EmbeddingCompressor(4, 16, tmp_path / "m")
    with pytest.raises(InputError, match="train a model first"):
        compressor.evaluate(matrix)
    with pytest.raises(InputError, match="recipe is 'none'"):
        compressor.train(matrix, recipe="none")
    with pytest.raises(ValueError, match="the matrix has shape"):
        compressor.train(matrix[0])
    assert list(tmp_path.iterdir()) == []


def test_a_trained_matrix_becomes_a_compressed_embedding(matrix, tmp_path):
    compressor = EmbeddingCompressor(4, 8, tmp_path / "m")
    with pytest.raises(InputError, match="has not trained a model"):
        compressor.to_embedding()
    compressor.train(matrix, max_epochs=30, report=None)
    words = [f"w{i}" for i in range(300)]
    embedding = compressor.to_embedding(words, codebook_dtype="float32")
    assert (embedding.table.codes(slice(None)) == compressor.encode(matrix)).all()
    distance = np.linalg.norm(matrix - embedding.to_numpy(), axis=1).mean()
    assert distance == pytest.approx(compressor.evaluate(matrix), rel=1e-5)
    assert embedding.provenance["mean_distance"] == pytest.approx(distance, rel=1e-5)
    assert embedding.provenance["recipe"] == "fast"
    assert embedding.provenance["refined"] is True
    assert list(embedding) == words
    again = EmbeddingCompressor(4, 8, tmp_path / "m").to_embedding(None, matrix[:100])
    assert isinstance(again, CompressedEmbedding)
    assert len(again) == 100


def test_what_a_models_file_holds_beside_the_autoencoder_is_checked(matrix, tmp_path):
    chain = CompositionalAutoencoder(12, 4, 8, seed=1)
    good = {
        "refined/codebook": chain.export_codebook(),
        "refined/codes": np.zeros((300, 4), np.uint8),
        "refined/digest": np.zeros(16, np.uint8),
    }
    for changes, message in [
        ({"refined/codes": np.full((300, 4), 8, np.uint8)}, "codes of 8 or more"),
        ({"refined/codes": np.zeros((300, 5), np.uint8)}, r"wanted shape \(300, 4\)"),
        ({"refined/codes": np.zeros((300, 4))}, "refined/codes is float64"),
        ({"refined/codebook": np.zeros((32, 11))}, r"wanted shape \(32, 12\)"),
        ({"refined/codebook": np.full((32, 12), np.inf)}, "codewords that are not finite"),
        ({"refined/digest": None}, "lacks refined/digest"),
    ]:
        beside = {name: array for name, array in (good | changes).items() if array is not None}
        save_model(tmp_path / "m.npz", chain, beside)
        with pytest.raises(InputError, match=message):
            EmbeddingCompressor(4, 8, tmp_path / "m").encode(matrix)
