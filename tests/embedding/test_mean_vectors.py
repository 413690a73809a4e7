import numpy as np
import pytest

from nncompress import InputError
from tests.embedding.test_comparing import VECTOR, check_same


@pytest.mark.parametrize(
    ("keys", "weights"),
    [
        (["w1", 2, "w3"], None),
        (["w1", np.int64(2), VECTOR], [0.5, -2, 1]),
        (["w1", "none", VECTOR], np.array([3.0, 4.0, 0.0])),
        (["w1", "w1"], np.array([1, 2])),
        (["none", "none"], [1.0, 2.0]),
        ([VECTOR], np.array([-2], np.float32)),
        ([f"w{i % 60}" for i in range(3_000)], None),
    ],
)
@pytest.mark.parametrize("normalized", [(), (False,), (True, True), (False, True)])
def test_means_are_gensims(keyed, in_gensim, keys, weights, normalized):
    ours = keyed.get_mean_vector(keys, weights, *normalized)
    check_same(ours, in_gensim.get_mean_vector(keys, weights, *normalized))


def test_missing_keys_are_named_where_they_are_not_to_be_left_out(keyed):
    with pytest.raises(KeyError, match="'none', 60: not among the 60 keys"):
        keyed.get_mean_vector(["w1", "none", 60], ignore_missing=False)


@pytest.mark.parametrize(
    ("keys", "weights", "message"),
    [
        ([], None, "no keys were given"),
        ("w1", None, "one key, 'w1', was given; wanted a list of keys"),
        (["w1"], [1.0, 2.0], r"shape \(2,\) for 1 keys"),
        (["w1"], np.array(["x"]), "type <U1"),
        (["w1"], [np.inf], "a weight is not finite"),
        ([np.ones(3)], None, r"type float64 and shape \(3,\)"),
    ],
)
def test_what_has_no_mean_is_refused(keyed, keys, weights, message):
    with pytest.raises(InputError, match=message):
        keyed.get_mean_vector(keys, weights)


def test_similarities_of_lists_are_gensims(keyed, in_gensim):
    for one, other in [(["w1", "w2"], ["w3"]), ([4, "none"], ["w5", "w6"]), (["none"], ["w1"])]:
        ours, theirs = keyed.n_similarity(one, other), in_gensim.n_similarity(one, other)
        assert type(ours) is type(theirs) is np.float32
        assert ours == pytest.approx(theirs, abs=1e-6)
    with pytest.raises(InputError, match="no keys were given"):
        keyed.n_similarity(["w1"], [])


@pytest.mark.filterwarnings("ignore:.*are not in the table and are left out")
@pytest.mark.parametrize("use_norm", [True, False])
def test_ranks_by_centrality_are_gensims(keyed, in_gensim, use_norm):
    words = ["w1", "w7", "none", "w9", "w30", 31]
    theirs = [pair[::-1] for pair in in_gensim.rank_by_centrality(words, use_norm)]
    ours = [pair[::-1] for pair in keyed.rank_by_centrality(words, use_norm)]
    check_same(ours, theirs)
    assert keyed.doesnt_match(words) == in_gensim.doesnt_match(words)


def test_missing_words_are_told_by_whoever_ranks_them(keyed):
    for rank in (keyed.rank_by_centrality, keyed.doesnt_match):
        with pytest.warns(UserWarning, match=r"\['x'\] are not in the table and are") as seen:
            rank(["x", "w1", "w2"])
        assert seen[0].filename == __file__
        with pytest.raises(InputError, match=r"none of \['x'\] is in the table"):
            rank(["x"])
        with pytest.raises(InputError, match="one key"):
            rank("w1")
