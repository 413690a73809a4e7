import numpy as np
import pytest

from nncompress import CompressedEmbedding

pytest.importorskip("gensim")


@pytest.fixture
def embedding(table):
    return CompressedEmbedding.from_codes(*table)


@pytest.mark.parametrize(
    "rows", [3, -1, slice(1, 4), slice(None), [[1, 2], [3, 4]], [0, -700], np.arange(700) < 4]
)
def test_vectors_are_indexed_as_gensims_are(embedding, rows):
    ours, theirs = embedding.vectors, embedding.to_gensim().vectors
    assert (ours.shape, ours.dtype, ours.ndim) == (theirs.shape, theirs.dtype, theirs.ndim)
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(ours[rows], theirs[rows])


def test_whatever_takes_an_array_of_vectors_takes_either(embedding):
    theirs = embedding.to_gensim()
    np.testing.assert_array_equal(np.asarray(embedding.vectors), theirs.vectors)
    for one, other in zip(embedding.vectors, theirs.vectors, strict=True):
        np.testing.assert_array_equal(one, other)
    row = theirs.key_to_index["wörd 8"]
    assert (embedding.vectors[row] == theirs["wörd 8"]).all()
    with pytest.raises(IndexError):
        theirs.vectors[700]
    with pytest.raises(IndexError):
        embedding.vectors[700]
