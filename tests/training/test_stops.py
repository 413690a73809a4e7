"""When extensions are called under updates of many steps, against Chainer's one step an update."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.autoencoder.kernel_chain import MeanOfSteps
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.fused_updater import FusedUpdater
from nncompress.training.settings import TrainingOptions
from nncompress.training.stops import Stops
from nncompress.training.triggers import StopTrigger, UpdateTrigger
from nncompress.training.updater import AutoencoderUpdater

triggers = chainer.training.triggers
extensions = chainer.training.extensions


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory):
    """Trainers make their output directories where the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("out"))
        yield


class PlainSteps(AutoencoderUpdater):
    """One iteration an update, without the work."""

    def update_core(self):
        self.get_iterator("main").next()
        chainer.report({"loss": loss_at(self.iteration)}, self.chain)


class ManySteps(FusedUpdater):
    """Many iterations an update, without the work."""

    def make_steps(self, first, batches, descent):
        losses = [loss_at(first + step) for step in range(len(batches))]
        chainer.report({"loss": MeanOfSteps(np.mean(losses), len(losses))}, self.chain)


def loss_at(iteration):
    """A loss that mostly falls."""
    return 100 / (1 + iteration) + np.random.default_rng(iteration).random()


KINDS = {
    PlainSteps: FusedAutoencoder,
    ManySteps: FusedAutoencoder,
    AutoencoderUpdater: CompositionalAutoencoder,
    FusedUpdater: FusedAutoencoder,
}
ROWS = np.random.default_rng(5).normal(size=(300, 12)).astype(np.float32)


def make_trainer(kind, epochs=4, batch_size=7, stop_trigger=None):
    matrix = EmbeddingMatrix(ROWS)
    made = TrainingOptions(epochs=epochs, batch_size=batch_size).resolve(300, 3, 5)
    chain = KINDS[kind](12, 3, 5, seed=0, init="scaled")
    updater = kind(matrix, chain, made, Machine())
    return chainer.training.Trainer(updater, stop_trigger or StopTrigger(made.iterations))


def firings(kind, makers, **options):
    """Returns the moments at which extensions with these triggers are called."""
    trainer = make_trainer(kind, **options)
    fired = []
    for number, make in enumerate(makers):
        trainer.extend(
            lambda trainer, number=number: fired.append((number, trainer.updater.iteration)),
            name=f"extension {number}",
            trigger=make(),
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "extension .*called after every iteration")
        trainer.run()
    return fired


class Primes:
    """A trigger that nobody knows."""

    def __call__(self, trainer):
        iteration = trainer.updater.iteration
        return iteration > 1 and all(iteration % factor for factor in range(2, iteration))


class Other(triggers.IntervalTrigger):
    """A known trigger's heir that does what it likes."""

    def __call__(self, trainer):
        return trainer.updater.iteration in (3, 5, 8)


TRIGGERS = {
    "iterations": lambda: (70, "iteration"),
    "every iteration": lambda: (1, "iteration"),
    "an epoch": lambda: (1, "epoch"),
    "half an epoch": lambda: (0.5, "epoch"),
    "a third of an epoch": lambda: (1 / 3, "epoch"),
    "1.3 epochs": lambda: (1.3, "epoch"),
    "at iterations": lambda: triggers.ManualScheduleTrigger([3, 77, 110], "iteration"),
    "at epochs": lambda: triggers.ManualScheduleTrigger([0.25, 1.7, 2], "epoch"),
    "once": triggers.OnceTrigger,
    "never": lambda: chainer.training.get_trigger(None),
    "best by iterations": lambda: triggers.MinValueTrigger("main/loss", (11, "iteration")),
    "best by epochs": lambda: triggers.MaxValueTrigger("main/loss", (0.4, "epoch")),
    "early stopping": lambda: triggers.EarlyStoppingTrigger((9, "iteration"), patience=1),
    "unknown": Primes,
    "unknown heir": lambda: Other(50, "iteration"),
    "function": lambda: lambda trainer: trainer.updater.iteration % 13 == 1,
}


@pytest.mark.parametrize("name", TRIGGERS)
def test_triggers_fire_when_chainers_do(name):
    expected = firings(PlainSteps, [TRIGGERS[name]])
    assert firings(ManySteps, [TRIGGERS[name]]) == expected
    assert bool(expected) == (name != "never")


def test_triggers_fire_when_chainers_do_in_real_training():
    makers = [make for name, make in TRIGGERS.items() if name not in ("unknown", "function")]
    # Means over many steps are the same up to rounding, so that the best are the same.
    for some in (makers, makers[2:9], makers[10:12]):
        expected = firings(AutoencoderUpdater, some, epochs=2)
        assert firings(FusedUpdater, some, epochs=2) == expected


periods = st.one_of(
    st.tuples(st.integers(1, 200), st.just("iteration")),
    st.tuples(st.floats(0.05, 3), st.just("epoch")),
)
schedules = st.one_of(
    st.tuples(st.lists(st.integers(1, 150), min_size=1), st.just("iteration")),
    st.tuples(st.lists(st.floats(0.01, 4), min_size=1), st.just("epoch")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(periods, max_size=2), st.lists(schedules, max_size=2), st.integers(1, 300))
def test_any_period_and_schedule_fires_when_chainers_does(periods, schedules, batch_size):
    makers = [lambda period=period: period for period in periods]
    makers += [lambda each=each: triggers.ManualScheduleTrigger(*each) for each in schedules]
    expected = firings(PlainSteps, makers, batch_size=batch_size)
    assert firings(ManySteps, makers, batch_size=batch_size) == expected


@pytest.mark.parametrize(
    "stop",
    [
        lambda: (73, "iteration"),
        lambda: (1.5, "epoch"),
        lambda: triggers.EarlyStoppingTrigger((6, "iteration"), patience=2),
        lambda: triggers.EarlyStoppingTrigger((1, "epoch"), max_trigger=(55, "iteration")),
    ],
)
def test_a_stop_trigger_stops_where_chainers_does(stop):
    ends = []
    for kind in (PlainSteps, ManySteps):
        trainer = make_trainer(kind, stop_trigger=stop())
        trainer.run()
        ends.append(trainer.updater.iteration)
    assert ends[0] == ends[1] < 171


def ends_of(extend):
    """Returns where updates end under a trainer with some extensions."""
    trainer = make_trainer(ManySteps)
    ends = []
    trainer.extend(
        lambda trainer: ends.append(trainer.updater.iteration), name="ends",
        trigger=UpdateTrigger(),
    )  # fmt: skip
    extend(trainer)
    trainer.run()
    assert trainer.updater.stride == 50
    return ends


DEFAULT_ENDS = [43, 50, 86, 100, 129, 150, 172]


def test_updates_end_nowhere_else_than_asked():
    assert ends_of(lambda trainer: None) == DEFAULT_ENDS
    for extension in (
        extensions.LogReport(trigger=(70, "iteration"), filename=None),
        extensions.PlotReport(["main/loss"], trigger=(70, "iteration"), filename=None),
        extensions.ProgressBar(update_interval=70, out=io.StringIO()),
    ):
        ends = ends_of(lambda trainer, extension=extension: trainer.extend(extension))
        assert ends == sorted({*DEFAULT_ENDS, 70, 140})
    clock = triggers.TimeTrigger(1e-9)
    assert ends_of(lambda t: t.extend(lambda t: None, name="x", trigger=clock)) == DEFAULT_ENDS


def test_chainers_table_waits_for_its_log(capsys):
    def extend(trainer):
        trainer.extend(extensions.LogReport(trigger=(70, "iteration"), filename=None))
        trainer.extend(extensions.PrintReport(["iteration", "main/loss"]))

    assert ends_of(extend) == sorted({*DEFAULT_ENDS, 70, 140})
    log = extensions.LogReport(trigger=(60, "iteration"), filename=None)
    ends = ends_of(lambda trainer: trainer.extend(extensions.PrintReport(["epoch"], log)))
    assert ends == sorted({*DEFAULT_ENDS, 60, 120})


def test_a_log_has_chainers_entries():
    logs = []
    for kind in (PlainSteps, ManySteps):
        trainer = make_trainer(kind)
        log = extensions.LogReport(trigger=(17, "iteration"), filename=None)
        trainer.extend(log)
        trainer.run()
        for entry in log.log:
            del entry["elapsed_time"]
        logs.append(log.log)
    assert len(logs[0]) == 10
    for one, other in zip(*logs, strict=True):
        assert one == pytest.approx(other, rel=1e-12)


def test_one_warning_names_those_that_want_every_iteration():
    trainer = make_trainer(ManySteps)
    trainer.extend(lambda trainer: None, name="mine")
    trainer.extend(lambda trainer: None, name="strange", trigger=Primes())
    trainer.extend(lambda trainer: None, name="patient", trigger=(10, "iteration"))
    with pytest.warns(UserWarning, match="mine, strange: .* slows training down") as caught:
        trainer.run()
    assert len(caught) == 1


def test_a_trigger_may_say_what_it_waits_for():
    class Tens(Primes):
        def update_stops(self):
            return Stops(iterations=frozenset({10}))

    ends = ends_of(lambda t: t.extend(lambda t: None, name="x", trigger=Tens()))
    assert ends == sorted({*DEFAULT_ENDS, *range(10, 172, 10)})


def test_observers_may_take_a_mean_for_a_number():
    seen = []
    trainer = make_trainer(FusedUpdater)
    trainer.extend(
        lambda trainer: seen.append(trainer.observation["main/loss"]), name="mine",
        trigger=(40, "iteration"),
    )  # fmt: skip
    trainer.run()
    assert len(seen) == 4
    for value in seen:
        assert float(value) == value[0] > 0
        assert f"{value:.3f} {value}" == f"{value[0]:.3f} {value[0]}"
