import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError

VECTORS = np.ones((2, 9), np.float32)


@pytest.mark.parametrize(
    ("change", "instead"),
    [
        (lambda e: e.__setitem__("w1", VECTORS[0]), r"emb\.add\(words, vectors\)"),
        (lambda e: e.add_vector("new", VECTORS[0]), r"emb\.add\(words, vectors\)"),
        (
            lambda e: e.add_vectors(["a"], VECTORS, replace=True),
            r"emb\.add\(words, vectors\)",
        ),
        (lambda e: e.resize_vectors(seed=3), r"emb\.add\(words, vectors\)"),
        (lambda e: e.intersect_word2vec_format("x.bin", binary=True), r"emb\.to_gensim\(\)"),
        (lambda e: e.unit_normalize_all(), r"get_vector\(key, norm=True\)"),
        (lambda e: e.init_sims(replace=True), r"get_vector\(key, norm=True\)"),
        (lambda e: e.sort_by_descending_frequency(), r"emb\.vectors_for_all\(words\)"),
        (lambda e: e.set_vecattr("w1", "count", 3), r"emb\.extras\[name\]"),
        (lambda e: e.allocate_vecattrs(["count"], [int]), r"emb\.extras\[name\]"),
    ],
)
def test_changes_in_place_are_refused_with_the_way_to_do_it(keyed, change, instead):
    before = keyed.to_numpy()
    with pytest.raises(InputError, match=f"cannot be changed in place; .*{instead}") as error:
        change(keyed)
    assert "\n" not in str(error.value)
    assert (keyed.to_numpy() == before).all()


def test_the_ways_that_are_told_are_there(keyed):
    words = sorted(keyed, reverse=True)
    assert list(keyed.vectors_for_all(words)) == words
    assert np.linalg.norm(keyed.get_vector("w1", norm=True)) == pytest.approx(1)


def test_vectors_that_are_not_compressed_are_not_loaded():
    with pytest.raises(InputError, match=r"nncompress\.compress\('v\.bin', 'NAME\.nnc'\)"):
        CompressedEmbedding.load_word2vec_format("v.bin", binary=True, limit=10)
