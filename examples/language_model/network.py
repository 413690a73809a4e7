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
        num_layers: Number of LSTM layers.
        dropout: Share of activations between layers that training drops.
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
        """Registers the shared matrix only in the embedding, unless it is being compressed.

        Chainer lists, updates and saves a parameter once for each link that has registered it. A
        matrix that is being compressed is registered only once anyway.
        """
        if any(parameter is self.embed.W for parameter in self.output.params()):
            del self.output.W
            self.output.W = self.embed.W

    def reset_state(self) -> None:
        """Forgets the previous words."""
        for layer in self.layers:
            layer.reset_state()

    def cut_history(self) -> None:
        """Stops gradients at this point, but keeps the state from previous words."""
        for layer in self.layers:
            if layer.h is not None:
                layer.h.unchain()
                layer.c.unchain()

    @contextmanager
    def another_text(self) -> Iterator[None]:
        """Reads another text within the block, and then returns to the current one."""
        states = [(layer.c, layer.h) for layer in self.layers]
        self.reset_state()
        yield
        for layer, (c, h) in zip(self.layers, states, strict=True):
            layer.c, layer.h = c, h

    def forward(self, words: np.ndarray) -> chainer.Variable:
        """Returns the logits of the next words.

        Args:
            words: Numbers of words, int32 ``(steps, streams)``: consecutive words in each of
                several streams of text, which continue from the previous call.

        Returns:
            ``(steps * streams, num_words)``.
        """
        rows = F.dropout(F.reshape(self.embed(words), (words.size, -1)), self._dropout)
        for layer in self.layers:
            rows = F.dropout(_through(layer, rows, len(words)), self._dropout)
        return self.output(rows)

    def loss(self, window: np.ndarray) -> chainer.Variable:
        """Returns the mean cross-entropy of all words in a window except the first, in nats.

        Args:
            window: int32 ``(steps + 1, streams)``.
        """
        return F.softmax_cross_entropy(self(window[:-1]), window[1:].reshape(-1))


def _through(layer: L.LSTM, rows: chainer.Variable, steps: int) -> chainer.Variable:
    """Returns a layer's output for consecutive words, ``(steps * streams, n)``.

    The layer takes the words one by one, but multiplies all of them by its first matrix at once,
    which takes half the time.

    Args:
        layer: The layer, whose state is updated.
        rows: Vectors of words, ``(steps * streams, n)``.
        steps: The number of consecutive words.
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
    """Splits a text into streams, and these into consecutive windows.

    Args:
        words: Numbers of words, ``(n,)``; words that do not fill the last window are left out.
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
        streams: Parts of the text to read in parallel, each from its own beginning; fewer if the
            text is short.
        steps: Words per pass.
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
