"""A causal language model's perplexity on a text, and its divergence from the original's."""

from collections.abc import Callable, Iterator

import numpy as np

from nncompress.errors import InputError
from nncompress.evaluate.bootstrap import Figure, figures
from nncompress.evaluate.report import Score
from nncompress.progress import progress_bar

# Tokens are resampled in stretches of this length, because consecutive tokens are correlated.
STRETCH = 32
# Rows of logits whose probabilities are computed together.
_ROWS = 64

# Takes token ids, int64 (n,), and returns the logits for the token after each, (n, V).
Logits = Callable[[np.ndarray], np.ndarray]


def perplexity(
    original: Logits, compressed: Logits, token_ids: np.ndarray, window: int, data: str = "text"
) -> tuple[Score, Figure]:
    """Measures how well two language models predict a text, and how far apart they are.

    The text is split into consecutive windows; in each, every token but the first is predicted
    from those before it.

    Args:
        original: The original model's logits.
        compressed: The compressed model's logits, over the same vocabulary.
        token_ids: The text, int64 ``(n,)``, at least two tokens.
        window: The most tokens that a model is given at once, at least two.
        data: The text's name.

    Returns:
        The perplexities (exp of the mean negative log-probability of a token) and their ratio; and
        the mean Kullback-Leibler divergence of the compressed model's distribution of the next
        token from the original's, ``sum p log(p / q)``, in nats per token. Intervals come from
        stretches of 32 tokens.

    Raises:
        InputError: There are fewer than two tokens, or the vocabularies differ in size.
    """
    if len(token_ids) < 2:
        seen = "one token" if len(token_ids) else "no token"
        raise InputError(f"{data} has {seen}; wanted at least two")
    stretches = []
    with progress_bar(len(token_ids), "Reading the text") as bar:
        for ids in _windows(token_ids, window):
            measured = np.concatenate(list(_losses(original(ids), compressed(ids), ids)), axis=1)
            for first in range(0, measured.shape[1], STRETCH):
                part = measured[:, first : first + STRETCH]
                stretches.append([*part.sum(axis=1), part.shape[1]])
            bar.update(len(ids))
    sums = np.array(stretches).T

    def statistics(items: np.ndarray) -> np.ndarray:
        before, after, divergence, count = sums[:, items].sum(axis=-1)
        return np.stack([
            np.exp(before / count), np.exp(after / count), np.exp((after - before) / count),
            divergence / count,
        ])  # fmt: skip

    before, after, ratio, divergence = figures(statistics, sums.shape[1])
    items = f"{int(sums[3].sum()):,} tokens in windows of {window:,}"
    return Score("perplexity", data, before, after, ratio, items), divergence


def _windows(token_ids: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """Yields windows; a single token left at the end, which cannot be predicted, is dropped."""
    for first in range(0, len(token_ids) - 1, window):
        yield token_ids[first : first + window]


def _losses(before: np.ndarray, after: np.ndarray, ids: np.ndarray) -> Iterator[np.ndarray]:
    """Yields negative log-probabilities of both models, and the divergence, of tokens."""
    if before.shape != after.shape:
        raise InputError(
            f"the models have {before.shape[1]:,} and {after.shape[1]:,} tokens; wanted two with "
            "the same vocabulary"
        )
    for first in range(0, len(ids) - 1, _ROWS):
        following = ids[first + 1 : first + 1 + _ROWS]
        rows = slice(first, first + len(following))
        one, other = (_log_softmax(logits[rows]) for logits in (before, after))
        with np.errstate(invalid="ignore"):  # tokens of probability 0 in both models
            apart = np.where(np.isneginf(one), 0.0, one - other)
        divergence = np.einsum("nv,nv->n", np.exp(one), apart)
        chosen = (log[np.arange(len(following)), following] for log in (one, other))
        yield np.stack([*(-log for log in chosen), divergence])


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
