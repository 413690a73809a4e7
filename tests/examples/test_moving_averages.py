from types import SimpleNamespace

import numpy as np
from moving_averages import MovingAverages, load_averages

from nncompress.chainer_support.compatibility import chainer


class Pair(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.first = chainer.Parameter(np.zeros(3, np.float32))
            self.second = chainer.Parameter(np.ones((2, 2), np.float32))


def step_of(number):
    return SimpleNamespace(updater=SimpleNamespace(iteration=number))


def test_averages_follow_tensorflows_formula_and_begin_anew_where_compression_sets_entries(random):
    model, expected = Pair(), np.zeros(3)
    set_now = {}

    def compression(trainer):
        for place, value in set_now.items():
            model.first.array[place] = value

    averages = MovingAverages(model, 0.6, compression)
    for step in range(1, 30):
        value = random.normal(size=3).astype(np.float32)
        model.first.array[...] = value
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        set_now = {1: 7.5} if step in (10, 20) else {}
        if set_now:
            expected[1] = 7.5
        averages(step_of(step))
    averages.copy_to_model()
    np.testing.assert_allclose(model.first.array, expected, rtol=1e-5)
    assert (model.second.array == 1).all()


def test_averages_are_kept_in_snapshots_and_read_into_a_model():
    model = Pair()
    averages = MovingAverages(model, 0.9, lambda trainer: None)
    model.first.array += 5
    averages(step_of(1))
    snapshot = chainer.serializers.DictionarySerializer()
    averages.serialize(snapshot)
    other = Pair()
    load_averages(chainer.serializers.NpzDeserializer(snapshot.target), other)
    averages.copy_to_model()
    np.testing.assert_allclose(other.first.array, 5 * (1 - 2 / 11), rtol=1e-6)
    assert (other.first.array == model.first.array).all()
