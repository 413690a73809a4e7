import numpy as np
import pytest
from batches import Batches
from command_line import hparams_of
from training import FINAL, Optimization, train

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import Diverged, InputError

F, L = chainer.functions, chainer.links
NOTHING = hparams_of("compression_option=0", "")


class Small(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.fc1, self.fc2 = L.Linear(6, 5), L.Linear(5, 3)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


@pytest.fixture
def data(random):
    images = random.normal(size=(40, 6)).astype(np.float32)
    labels = random.integers(3, size=40).astype(np.int32)
    return chainer.datasets.TupleDataset(images, labels)


def test_batches_are_the_dataset_in_another_order_each_epoch_and_follow_from_their_place(data):
    def distort(images, random):
        return images + random.random(len(images), np.float32)[:, None]

    plain, distorted = Batches(data, 16, 3), Batches(data, 16, 3, distort)
    rows = {tuple(image): row for row, (image, _) in enumerate(data[:])}
    seen = []
    for _ in range(10):  # four epochs
        images, labels = plain.next()
        changed, same_labels = distorted.next()
        found = [rows[tuple(image)] for image in images]
        assert [data[row][1] for row in found] == labels.tolist() == same_labels.tolist()
        shifts = changed - images
        np.testing.assert_allclose(shifts, shifts[:, :1] @ np.ones((1, 6)), atol=1e-6)
        seen += found
    epochs = [seen[start : start + 40] for start in range(0, 160, 40)]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    # From any place on, the same batches come again.
    for before in (1, 5):
        first, again = Batches(data, 16, 3, distort), Batches(data, 16, 3, distort)
        for _ in range(before):
            first.next()
        kept = chainer.serializers.DictionarySerializer()
        first.serialize(kept)
        again.serialize(chainer.serializers.NpzDeserializer(kept.target))
        for _ in range(3):
            np.testing.assert_array_equal(first.next()[0], again.next()[0])


def test_a_batch_larger_than_the_data_is_refused(data):
    with pytest.raises(InputError, match="the batch size is 41; wanted 1 to 40"):
        Batches(data, 41, 0)


@pytest.mark.parametrize("option", [0, 1])
def test_steps_are_those_of_the_plain_formula_with_decay_of_weights_and_of_the_rate(
    data, tmp_path, option
):
    models, rate, decay = [], 0.5, 0.1

    def make():
        models.append(Small())
        return models[-1]

    optimization = Optimization(
        lambda: chainer.optimizers.SGD(rate), {"fc2": decay}, rate_decay=(0.1, 0.5)
    )
    hparams = hparams_of(f"compression_option={option},begin_compression_step=100", "")
    train(make, (data, data), hparams, "*", out=tmp_path, max_steps=4, batch_size=10, seed=5,
          optimization=optimization, quiet=True)  # fmt: skip
    np.random.seed(5)
    plain, batches = Small(), Batches(data, 10, 5)
    for rate in (0.5, 0.5, 0.05, 0.05):  # half an epoch is two steps
        images, labels = batches.next()
        plain.cleargrads()
        F.softmax_cross_entropy(plain(images), labels).backward()
        for name, parameter in plain.namedparams():
            gradient = parameter.grad + (decay * parameter.array if name == "/fc2/W" else 0)
            parameter.array = parameter.array - rate * gradient
    trained = models[0]
    for mine, name in ((trained.fc1, "fc1"), (trained.fc2, "fc2")):
        np.testing.assert_allclose(chainer.as_array(mine.W), plain[name].W.array, atol=1e-6)
        np.testing.assert_allclose(mine.b.array, plain[name].b.array, atol=1e-6)


@pytest.mark.parametrize("update_option", [0, 1])
def test_alpha_falls_by_either_update_option(data, tmp_path, update_option):
    hparams = hparams_of(
        f"compression_option=1,rank=200,update_option={update_option},begin_compression_step=1,"
        "compression_frequency=1,alpha_decrement_value=0.5,end_compression_step=9",
        "",
    )
    _, outcome = train(Small, (data, data), hparams, "fc1", out=tmp_path, max_steps=8,
                     batch_size=10, quiet=True)  # fmt: skip
    assert "low rank" in outcome
    assert (tmp_path / FINAL).is_file()


def test_training_that_diverges_ends_before_it_gets_into_snapshots(data, tmp_path):
    optimization = Optimization(lambda: chainer.optimizers.SGD(1e30))
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="the loss is nan at step"):
        train(Small, (data, data), NOTHING, "*", out=tmp_path, max_steps=9, batch_size=10,
              optimization=optimization, log_frequency=100)  # fmt: skip
    assert [path.name for path in tmp_path.glob("*.npz")] == ["trainer_snapshot_0.npz"]


@pytest.mark.parametrize(
    ("name", "value"), [("max_steps", 0), ("log_frequency", -1), ("seed", -1), ("seed", 1 << 32)]
)
def test_numbers_out_of_range_are_refused(data, tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name} (is )?{value}"):
        train(Small, (data, data), NOTHING, "*", out=tmp_path, **{"max_steps": 1} | {name: value})


def test_a_run_does_not_go_on_with_other_data(data, tmp_path):
    def run(images, **more):
        train(Small, (images, images), NOTHING, "*", out=tmp_path, batch_size=10, **more)

    run(data, max_steps=1)
    other = chainer.datasets.TupleDataset(*(np.array(part) for part in zip(*data[:], strict=True)))
    other[0][0][0] += 1
    fewer = chainer.datasets.TupleDataset(
        *(np.array(part) for part in zip(*data[:20], strict=True))
    )
    for images, number in ((other, 40), (fewer, 20)):
        with pytest.raises(
            InputError, match=f"training_data is '{number} images, .* started with '40 images, "
        ):
            run(images, max_steps=2, resume=True)
    run(data, max_steps=2, resume=True)
