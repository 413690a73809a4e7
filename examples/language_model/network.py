"""The language model: an embedding, layers of LSTM, and an output layer that shares its rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nncompress.chainer_support.compatibility import chainer

F, L = chainer.functions, chainer.links


class LanguageModel(chainer.Chain):
    """Predicts each next word from the words before it.

    Sources: Zaremba, Sutskever and Vinyals, "Recurrent Neural Network Regularization", 2014
    (LSTM with dropout between layers); Press and Wolf, "Using the Output Embedding to Improve
    Language Models", EACL 2017 (one matrix for input and output).

    Args:
        num_words: Words of the vocabulary.
        width: Size of a word's vector and of a layer's state.
        num_layers: Layers of LSTM.
        dropout: Share of what goes from layer to layer that training drops.
    """

    def __init__(
        self, num_words: int, width: int = 128, num_layers: int = 1, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self._dropout = dropout
        with self.init_scope():
            self.embed = L.EmbedID(num_words, width, initialW=chainer.initializers.Normal(0.1))
            self.layers = chainer.ChainList(*(L.LSTM(width, width) for _ in range(num_layers)))
            self.output = L.Linear(width, num_words)
        with self.output.init_scope():
            self.output.W = self.embed.W

    def list_once(self) -> None:
        """Leaves the shared matrix to the embedding, if it is to stay as it is.

        Chainer lists, updates and saves a parameter as often as links have registered it. One that
        is being compressed is in one place anyway.
        """
        if any(parameter is self.embed.W for parameter in self.output.params()):
            del self.output.W
            self.output.W = self.embed.W

    def reset_state(self) -> None:
        """Forgets the words before."""
        for layer in self.layers:
            layer.reset_state()

    def cut_history(self) -> None:
        """Ends gradients here; what the words before were is still known."""
        for layer in self.layers:
            if layer.h is not None:
                layer.h.unchain()
                layer.c.unchain()

    @contextmanager
    def another_text(self) -> Iterator[None]:
        """Begins another text, after which the one that was being read goes on."""
        states = [(layer.c, layer.h) for layer in self.layers]
        self.reset_state()
        yield
        for layer, (c, h) in zip(self.layers, states, strict=True):
            layer.c, layer.h = c, h

    def forward(self, words: np.ndarray) -> chainer.Variable:
        """Returns the logits of the words that come next.

        Args:
            words: Numbers of words, int32 ``(steps, streams)``: some that come after one another
                in each of several streams of text, which go on where they were.

        Returns:
            ``(steps * streams, num_words)``.
        """
        rows = F.dropout(F.reshape(self.embed(words), (words.size, -1)), self._dropout)
        for layer in self.layers:
            rows = F.dropout(_through(layer, rows, len(words)), self._dropout)
        return self.output(rows)

    def loss(self, window: np.ndarray) -> chainer.Variable:
        """Returns the mean cross-entropy of all words of a window but the first, in nats.

        Args:
            window: int32 ``(steps + 1, streams)``.
        """
        return F.softmax_cross_entropy(self(window[:-1]), window[1:].reshape(-1))


def _through(layer: L.LSTM, rows: chainer.Variable, steps: int) -> chainer.Variable:
    """Returns what a layer says to words that come after one another, ``(steps * streams, n)``.

    The layer takes them one by one, but multiplies all of them by its first matrix at once, which
    takes half the time.

    Args:
        layer: The layer, whose state goes on.
        rows: Vectors of words, ``(steps * streams, n)``.
        steps: How many words come after one another.
    """
    given = layer.upward(rows)
    said = []
    for gates in F.split_axis(given, steps, axis=0):
        if layer.h is None:
            zeros = layer.xp.zeros((len(gates), layer.state_size), gates.dtype)
            layer.c = chainer.Variable(zeros)
        else:
            gates += layer.lateral(layer.h)
        layer.c, layer.h = F.lstm(layer.c, gates)
        said.append(layer.h)
    return F.concat(said, axis=0)


def windows(words: np.ndarray, streams: int, steps: int) -> np.ndarray:
    """Cuts a text into streams, and those into windows, of which each begins where one ended.

    Args:
        words: Numbers of words, ``(n,)``; what does not fill the last window is left out.
        streams: Number of streams.
        steps: Words to predict in a window.

    Returns:
        ``(windows, steps + 1, streams)``; a window's last word is the next one's first.
    """
    length = (len(words) - 1) // streams
    count = length // steps
    starts = np.arange(streams) * length
    places = np.arange(count)[:, None, None] * steps + np.arange(steps + 1)[:, None] + starts
    return words[places]


def perplexity(
    model: LanguageModel, words: np.ndarray, streams: int = 20, steps: int = 35
) -> float:
    """Returns the exponential of the mean cross-entropy of a text's words.

    Args:
        model: The model.
        words: Numbers of words, int32 ``(n,)``, at least two.
        streams: Parts of the text that are read side by side, each from its own beginning; fewer
            where the text is short.
        steps: Words in a pass.
    """
    streams = max(1, min(streams, (len(words) - 1) // steps))
    length = (len(words) - 1) // streams
    starts = np.arange(streams) * length
    total, count = 0.0, 0
    with (
        chainer.using_config("train", False),
        chainer.no_backprop_mode(),
        model.another_text(),
    ):
        for first in range(0, length, steps):
            places = np.arange(first, min(first + steps, length) + 1)
            window = words[places[:, None] + starts]
            total += float(model.loss(model.device.send(window)).array) * window[1:].size
            count += window[1:].size
    return float(np.exp(total / count))
