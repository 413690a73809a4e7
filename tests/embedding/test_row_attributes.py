import numpy as np
import pytest

from nncompress import CompressedEmbedding


def test_attributes_are_those_of_gensim(keyed, in_gensim):
    counts = np.arange(60)[::-1]
    keyed.extras["count"] = counts
    for word, count in zip(keyed, counts.tolist(), strict=True):
        in_gensim.set_vecattr(word, "count", count)
    for key in ("w3", 7, "w59"):
        ours, theirs = keyed.get_vecattr(key, "count"), in_gensim.get_vecattr(key, "count")
        assert (type(ours), ours) == (type(theirs), theirs)


def test_attributes_are_kept_in_the_file(keyed, tmp_path):
    keyed.extras["count"] = np.arange(60)
    keyed.save(tmp_path / "x.nnc")
    assert CompressedEmbedding.load(tmp_path / "x.nnc").get_vecattr("w9", "count") == 9


def test_what_is_no_attribute_is_refused_with_those_there_are(keyed):
    keyed.extras |= {"count": np.arange(60), "mapping": np.arange(7)}
    with pytest.raises(KeyError, match=r"'mapping' is not an attribute .* have count"):
        keyed.get_vecattr("w1", "mapping")
    with pytest.raises(KeyError, match="'none': not among"):
        keyed.get_vecattr("none", "count")
