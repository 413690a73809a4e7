"""Predicting labels of texts from the output layer of a supervised fastText model.

Sources: ``FastText::predict``, ``SoftmaxLoss``, ``BinaryLogisticLoss`` and
``HierarchicalSoftmaxLoss`` of fastText 0.9; Joulin et al., "Bag of Tricks for Efficient Text
Classification", EACL 2017.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from nncompress.embedding.keys import Keys
from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError
from nncompress.sources.fasttext_text import LABEL, tokens_of, word_ngram_buckets
from nncompress.sources.ngrams import EOS
from nncompress.sources.subword_rows import MOST_COUNT, Classifier, SubwordRows

_ALL = -1
_MOST_SIGMOID, _SIGMOIDS = 8, 512
_LEAST = np.float32(1e-5)  # fastText adds it to a probability before taking the logarithm

Labels = tuple[tuple[str, ...], np.ndarray]


class WithClassifier(Protocol):
    """The parts of a compressed embedding that labels need."""

    subwords: SubwordRows | None

    @property
    def classifier(self) -> "TextClassifier":
        """The classifier of texts."""


def predict(
    embedding: WithClassifier, text: str | Sequence[str], k: int = 1, threshold: float = 0.0
) -> Labels | tuple[list[list[str]], list[np.ndarray]]:
    """Returns the most probable labels of a text, and their probabilities, as fastText does.

    Args:
        embedding: The table of a supervised fastText model.
        text: A line of text, or a list of lines.
        k: The number of labels; -1 for all.
        threshold: The least probability of a label.

    Returns:
        Labels, the most probable first, and their probabilities plus 1e-5, float64 ``(n,)``; both
        empty for a text of which the model knows no token. For a list of lines, lists of both.

    Raises:
        InputError: The table has no classifier, a text is not a single line, or a number is out
            of range.
    """
    classifier = embedding.classifier
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not (k == _ALL or k >= 1):
        raise InputError(f"k is {k!r}; wanted a number of labels, at least 1, or -1 for all")
    if isinstance(text, str):
        return classifier.labels_of(text, int(k), threshold)
    found = [classifier.labels_of(line, int(k), threshold) for line in text]
    return [list(labels) for labels, _ in found], [numbers for _, numbers in found]


class TextClassifier:
    """Predicts the labels of texts.

    Args:
        table: The rows of words, and of the buckets of n-grams.
        keys: The keys of its rows.
        subwords: The meaning of its rows.

    Raises:
        InputError: The table is not that of a classifier.
    """

    def __init__(self, table: Table, keys: Keys, subwords: SubwordRows | None) -> None:
        if subwords is None or subwords.classifier is None:
            raise InputError(
                "the table has no labels; wanted the table of a supervised fastText model (.bin)"
            )
        self._table, self._keys, self._subwords = table, keys, subwords
        self._own: Classifier = subwords.classifier
        self._known = {label.encode("utf-8") for label in self._own.labels}
        self._tree = _Tree(self._own.counts) if self._own.loss == "hs" else None

    def labels_of(self, text: str, k: int, threshold: float) -> Labels:
        """Returns the labels of a line and their probabilities; see ``predict``."""
        if not isinstance(text, str) or "\n" in text:
            raise InputError(f"a text is {text!r:.60}; wanted one line of text, without its end")
        rows = self._rows_of(text)
        if not len(rows):
            return (), np.empty(0)
        scores = self._scores(self._table.decode(rows).mean(axis=0), threshold)
        best = np.argsort(-scores, kind="stable")[: len(scores) if k == _ALL else k]
        best = best[scores[best] > -np.inf]
        labels = tuple(self._own.labels[place] for place in best.tolist())
        return labels, np.exp(scores[best].astype(np.float64))

    def _rows_of(self, text: str) -> np.ndarray:
        """Returns the rows whose mean is a line's vector, int64 ``(n,)``."""
        ngrams = self._subwords.ngrams
        words = [token for token in tokens_of(text.encode("utf-8", "replace"))
                 if token not in self._known and not token.startswith(LABEL)]  # fmt: skip
        named = [self._keys.row(word.decode("utf-8")) for word in words]
        own = [row for row in named if row is not None]
        buckets, _ = ngrams.of([word for word in words if word != EOS])
        further = word_ngram_buckets(words, self._own.word_ngrams, ngrams.num_buckets)
        return np.concatenate([
            np.array(own, np.int64),
            self._subwords.rows_of(np.concatenate([buckets, further])),
        ])  # fmt: skip

    def _scores(self, hidden: np.ndarray, threshold: float) -> np.ndarray:
        """Returns the logarithms of the labels' probabilities, -inf below the threshold."""
        with np.errstate(over="ignore", invalid="ignore"):
            products = self._own.output @ hidden
        if not np.isfinite(products).all():
            raise InputError(
                "a text's products with the labels' rows are not finite; wanted a model whose "
                "training has not diverged"
            )
        if self._tree is not None:
            scores = self._tree.scores(products)
            return np.where(scores < np.log(np.float32(threshold) + _LEAST), -np.inf, scores)
        if self._own.loss == "softmax":
            chances = np.exp(products - products.max())
            chances /= chances.sum()
        else:
            chances = _sigmoid(products)
        return np.where(chances < threshold, -np.inf, np.log(chances + _LEAST))


class _Tree:
    """The binary tree of labels by their counts, with a row of the output for each inner node.

    Args:
        counts: The number of times each label was seen, int64 ``(L,)``, in descending order.
    """

    def __init__(self, counts: np.ndarray) -> None:
        size = len(counts)
        weights = [*counts.tolist(), *[MOST_COUNT + 1] * (size - 1)]
        self._children = np.zeros((size - 1, 2), np.int64)
        leaf, inner = size - 1, size
        depths = np.zeros(2 * size - 1, np.int64)
        for node in range(size, 2 * size - 1):
            for side in range(2):
                if leaf >= 0 and weights[leaf] < weights[inner]:
                    self._children[node - size, side] = leaf
                    leaf -= 1
                else:
                    self._children[node - size, side] = inner
                    inner += 1
            one, other = self._children[node - size].tolist()
            weights[node] = weights[one] + weights[other]
        for node in range(size - 2, -1, -1):  # a node's number is larger than its children's
            depths[self._children[node]] = depths[node + size] + 1
        own = depths[size:]
        self._levels = [np.flatnonzero(own == depth) for depth in range(own.max(initial=-1) + 1)]
        self._size = size

    def scores(self, products: np.ndarray) -> np.ndarray:
        """Returns the logarithms of the labels' probabilities, float32 ``(L,)``.

        Args:
            products: Inner products of the output's rows with a line's vector, ``(L,)``.
        """
        scores = np.zeros(2 * self._size - 1, np.float32)
        with np.errstate(over="ignore"):
            right = 1 / (1 + np.exp(-products[: self._size - 1]))
        steps = np.log(np.stack([1 - right, right], axis=1) + _LEAST)
        for nodes in self._levels:
            scores[self._children[nodes]] = scores[nodes + self._size, None] + steps[nodes]
        return scores[: self._size]


def _sigmoid(numbers: np.ndarray) -> np.ndarray:
    """Returns sigmoids as fastText does, from a table of 512 steps from -8 to 8."""
    places = np.clip(numbers, -_MOST_SIGMOID, _MOST_SIGMOID) + np.float32(_MOST_SIGMOID)
    places = (places * _SIGMOIDS / _MOST_SIGMOID / 2).astype(np.int64)
    steps = (2 * _MOST_SIGMOID * places / _SIGMOIDS - _MOST_SIGMOID).astype(np.float32)
    chances = 1 / (1 + np.exp(-steps))
    chances[numbers < -_MOST_SIGMOID] = 0
    chances[numbers > _MOST_SIGMOID] = 1
    return chances
