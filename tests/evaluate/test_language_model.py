import numpy as np
import pytest

from nncompress import InputError
from nncompress.evaluate.language_model import perplexity


def bigrams(random, size=9):
    """A model that looks at the last token alone, and the distributions of what follows."""
    logits = random.normal(size=(size, size)).astype(np.float32)
    exact = np.exp(logits.astype(np.float64))
    return lambda ids: logits[ids], exact / exact.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("length", "window"), [(500, 64), (129, 64), (40, 512), (2, 2)])
def test_perplexity_and_divergence_follow_their_definitions(random, length, window):
    (before, p), (after, q) = bigrams(random), bigrams(random)
    ids = random.integers(9, size=length)
    score, divergence = perplexity(before, after, ids, window, "x.txt")
    # All tokens but the first of each window are foretold.
    places = [i for i in range(1, length) if i % window]
    one, other = (
        -np.log([table[ids[i - 1], ids[i]] for i in places]) for table in (p, q)
    )  # fmt: skip
    assert score.original.value == pytest.approx(np.exp(one.mean()), rel=1e-5)
    assert score.compressed.value == pytest.approx(np.exp(other.mean()), rel=1e-5)
    assert score.change.value == pytest.approx(np.exp(other.mean() - one.mean()), rel=1e-5)
    apart = (p * np.log(p / q)).sum(axis=1)
    assert divergence.value == pytest.approx(apart[ids[[i - 1 for i in places]]].mean(), rel=1e-5)
    assert score.items == f"{len(places):,} tokens in windows of {window:,}"
    for figure in (score.original, score.compressed, score.change, divergence):
        assert figure.low <= figure.value <= figure.high
    assert set(score.facts) >= {"ratio", "original", "compressed"}


def test_the_same_model_diverges_from_itself_by_nothing(random):
    model, _ = bigrams(random)

    def masked(ids):
        logits = model(ids).copy()
        logits[:, 3] = -np.inf  # a token that is never foretold
        return logits

    ids = random.integers(3, size=300)
    score, divergence = perplexity(masked, masked, ids, 50)
    assert (score.change.value, divergence.value) == (1, 0)


def test_what_cannot_be_compared_is_refused(random):
    one, other = bigrams(random)[0], bigrams(random, 8)[0]
    with pytest.raises(InputError, match="have 9 and 8 tokens"):
        perplexity(one, other, np.arange(8), 4)
    with pytest.raises(InputError, match=r"x\.txt has one token; wanted at least two"):
        perplexity(one, one, np.arange(1), 4, "x.txt")
