import itertools
import sys

import numpy as np
import pytest

from nncompress import InputError


@pytest.mark.parametrize("norm", [True, False])
def test_word_movers_distances_are_gensims(keyed, in_gensim, norm):
    pytest.importorskip("ot")
    texts = ["w1 w2 w2 w3", "w4 w5 none w4", "w1", "w2 w9 w10", "none"]
    for one, other in itertools.product(texts, repeat=2):
        ours = keyed.wmdistance(one.split(), other.split(), norm)
        theirs = in_gensim.wmdistance(one.split(), other.split(), norm)
        assert type(ours) is float
        assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_two_words_that_are_as_many_are_moved_the_shorter_way(keyed):
    pytest.importorskip("ot")
    one, other = keyed[["w1", "w2"]], keyed[["w3", "w4"]]
    ways = [np.linalg.norm(one - way, axis=1).mean() for way in (other, other[::-1])]
    found = keyed.wmdistance(["w1", "w2"], ["w3", "w4"], norm=False)
    assert found == pytest.approx(min(ways), rel=1e-5)


def test_a_text_that_is_one_string_is_refused(keyed):
    pytest.importorskip("ot")
    with pytest.raises(InputError, match="one key, 'w1 w2', was given; wanted a list of keys"):
        keyed.wmdistance("w1 w2", ["w1"])


def test_without_pot_it_is_told_what_to_install(keyed, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"nncompress\[gensim\]"):
        keyed.wmdistance(["w1"], ["w2"])
