import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from tests.embedding.test_comparing import VECTOR, check_same

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated `init_sims`")

UNIT = VECTOR / np.linalg.norm(VECTOR)


@pytest.mark.parametrize("topn", [6, 0, 1_000])
@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("w1", "w2"), (["w1", "w2"], ["w3"]), (["w4"], None), ([UNIT, "w5"], ["w6", "w7"]),
        (VECTOR, None), (["w1", "w1"], ["w1"]),
    ],
)  # fmt: skip
def test_the_largest_products_of_cosines_are_gensims(keyed, in_gensim, positive, negative, topn):
    ours = keyed.most_similar_cosmul(positive, negative, topn)
    check_same(ours, in_gensim.most_similar_cosmul(positive, negative, topn))


def test_what_all_rows_have_is_gensims(keyed, in_gensim):
    ours = keyed.most_similar_cosmul(["w1", "w2"], ["w3"], topn=None)
    check_same(ours, in_gensim.most_similar_cosmul(["w1", "w2"], ["w3"], topn=None))


def test_row_numbers_are_keys_and_leading_rows_can_be_asked_for(keyed):
    by_word = keyed.most_similar_cosmul(["w1", "w2"], ["w3"], 1_000)
    assert keyed.most_similar_cosmul([1, 2], [np.int64(3)], 1_000) == by_word
    leading = keyed.most_similar_cosmul(["w1", "w2"], ["w3"], 1_000, restrict_vocab=20)
    assert leading == [pair for pair in by_word if int(pair[0][1:]) < 20]


def test_rows_without_a_word_are_left_out(keyed):
    half = CompressedEmbedding.of_table(keyed.table, [f"w{i}" for i in range(30)])
    found = half.most_similar_cosmul("w1", topn=60)
    assert sorted(found) == sorted(
        pair for pair in keyed.most_similar_cosmul("w1", topn=60) if int(pair[0][1:]) < 30
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], ["w1"]), "no positive key or vector"),
        (([("w1", 2.0)],), "without a weight"),
        (([np.ones(2)],), r"shape \(2,\)"),
        ((["w1"], None, 3, -1), "restrict_vocab is -1"),
    ],
)
def test_what_cannot_be_multiplied_is_refused(keyed, arguments, message):
    with pytest.raises(InputError, match=message):
        keyed.most_similar_cosmul(*arguments)
    with pytest.raises(KeyError, match="'none': not among"):
        keyed.most_similar_cosmul("w1", "none")
