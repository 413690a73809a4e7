"""Training in many processes, played by threads: steps, decisions, and what is shared."""

import os
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError, TrainingInterrupted
from nncompress.machine import Machine
from nncompress.runs.interruption import Interruption
from nncompress.sources import EmbeddingMatrix
from nncompress.training.processes import (
    ALONE,
    EndedElsewhereError,
    Processes,
    open_processes,
)
from nncompress.training.session import make_session
from nncompress.training.settings import TrainingOptions
from nncompress.training.triggers import UpdateTrigger
from tests.training.processes_of_threads import in_processes

pytest.importorskip("mpi4py")

STEPS = 40


def settings_for(matrix, recipe="fast", batch_size=60, **changes):
    options = TrainingOptions(recipe, batch_size=batch_size)
    return replace(options.resolve(len(matrix), 4, 8), iterations=STEPS, **changes)


def trained(matrix, settings, processes=ALONE, weights=None, optimizer=None):
    """Returns parameters after training, and what was observed after every five steps."""
    session = make_session(
        EmbeddingMatrix(matrix), settings, Machine(threads=1),
        weights=weights, optimizer=optimizer and optimizer(), processes=processes,
    )  # fmt: skip
    observed = []

    @chainer.training.make_extension(trigger=(5, "iteration"))
    def observe(trainer):
        observed.append({name: float(value) for name, value in trainer.observation.items()})

    if processes.is_first:  # the others' updates end where this one's do, for all that
        session.trainer.extend(observe)
    session.trainer.run()
    return dict(parameters_of(session.chain)), observed


def parameters_of(chain):
    for name, parameter in chain.namedparams():
        yield name, parameter.array.copy()


def assert_as_one(one, many):
    """Compares a job of one process with one of many, up to rounding."""
    parameters, observed = one
    for name, expected in parameters.items():
        np.testing.assert_allclose(many[0][0][name], expected, rtol=2e-3, atol=2e-5)
        for other, _ in many[1:]:
            np.testing.assert_array_equal(other[name], many[0][0][name])
    assert len(observed) == len(many[0][1]) == STEPS // 5
    for expected, seen in zip(observed, many[0][1], strict=True):
        assert seen == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    "changes", [{}, {"max_grad_norm": 0.05}, {"optimizer": "SGD", "learning_rate": 0.1}]
)
def test_many_processes_train_as_one_does_with_all_their_rows(matrix, size, changes):
    settings = settings_for(matrix, **changes)
    one = trained(matrix, settings)
    many = in_processes(size, lambda processes: trained(matrix, settings, processes))
    assert_as_one(one, many)


def test_weights_of_rows_count_as_in_one_process(matrix, random):
    settings = settings_for(matrix, max_grad_norm=0.05)
    weights = random.exponential(size=len(matrix))
    weights /= weights.mean()
    one = trained(matrix, settings, weights=weights)
    assert "main/weighted_loss" in one[1][0]
    many = in_processes(2, lambda processes: trained(matrix, settings, processes, weights))
    assert_as_one(one, many)


@pytest.mark.parametrize("batch_size", [23, 64])
def test_short_batches_may_leave_a_process_without_rows(matrix, batch_size):
    # 300 rows: 1 or 44 in the last batch of an epoch.
    settings = settings_for(matrix, "authors", batch_size, max_grad_norm=None, learning_rate=1e-2)
    one = trained(matrix, settings)
    many = in_processes(3, lambda processes: trained(matrix, settings, processes))
    assert_as_one(one, many)


def own_optimizer():
    return chainer.optimizers.MomentumSGD(0.05)


@pytest.mark.parametrize("name", ["naive", "flat"])
@pytest.mark.filterwarnings("ignore:the optimizer is MomentumSGD")
def test_chainers_own_steps_are_shared_too(matrix, random, name):
    weights = random.exponential(size=len(matrix))
    weights /= weights.mean()
    settings = settings_for(matrix, "authors", 23)
    one = trained(matrix, settings, ALONE, weights, own_optimizer)
    many = in_processes(
        2, lambda processes: trained(matrix, settings, processes, weights, own_optimizer), name
    )
    assert_as_one(one, many)


def test_decay_and_clipping_act_on_the_sum(matrix):
    def optimizer():
        made = chainer.optimizers.Adam(1e-3)

        def setup(link):
            type(made).setup(made, link)
            made.add_hook(chainer.optimizer_hooks.WeightDecay(0.01))
            made.add_hook(chainer.optimizer_hooks.GradientClipping(0.02))
            return made

        made.setup = setup
        return made

    settings = settings_for(matrix)
    one = trained(matrix, settings, optimizer=optimizer)
    many = in_processes(
        2, lambda processes: trained(matrix, settings, processes, optimizer=optimizer)
    )
    assert_as_one(one, many)


def test_a_signal_to_one_ends_all_at_the_same_iteration(matrix):
    settings = settings_for(matrix)

    def train(processes):
        session = make_session(
            EmbeddingMatrix(matrix), settings, Machine(threads=1), processes=processes
        )
        saved = []
        interruption = Interruption(
            lambda trainer: saved.append(trainer.updater.iteration), processes=processes
        )

        @chainer.training.make_extension(trigger=(7, "iteration"))
        def receive(trainer):
            interruption._received = 15

        if processes.rank == 1:
            session.trainer.extend(receive)
        session.trainer.extend(interruption, trigger=UpdateTrigger())
        with pytest.raises(TrainingInterrupted, match="at iteration 7") as caught:
            session.run()
        return saved, caught.value.signal

    assert in_processes(2, train) == [([7], 15)] * 2


def test_the_first_process_alone_validates(matrix, monkeypatch):
    settings = settings_for(matrix)
    asked = []

    def train(processes):
        session = make_session(
            EmbeddingMatrix(matrix), settings, Machine(threads=1), processes=processes
        )
        measured = session.validation._measured
        session.validation._measured = lambda: asked.append(processes.rank) or measured()
        learned = session.run()
        return learned.loss, learned.iteration

    one, *others = in_processes(3, train)
    assert set(asked) == {0}
    assert others == [one, one]


@pytest.mark.parametrize("num_rows", [0, 1, 2, 5, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_of_a_batch_follow_each_other(num_rows, size):
    parts = in_processes(size, lambda processes: processes.part(num_rows))
    rows = np.arange(num_rows)
    np.testing.assert_array_equal(np.concatenate([rows[part] for part in parts]), rows)
    assert np.ptp([part.stop - part.start for part in parts]) <= 1


def test_what_fails_in_one_process_fails_in_all():
    def fail_in(failing, rank):
        if rank == failing:
            raise InputError("no")
        return rank

    def tell(processes):
        told = []
        for call in (
            lambda: processes.first(lambda: "made once"),
            lambda: processes.first(lambda: fail_in(0, processes.rank)),
            lambda: processes.together(lambda: fail_in(1, processes.rank)),
            lambda: processes.together(lambda: fail_in(9, processes.rank)),
        ):
            try:
                told.append(call())
            except (InputError, EndedElsewhereError) as error:
                told.append(type(error))
        return told

    assert in_processes(2, tell) == [
        ["made once", InputError, EndedElsewhereError, 0],
        ["made once", EndedElsewhereError, InputError, 1],
    ]


@pytest.mark.parametrize(
    ("cores", "machines", "wanted"),
    [
        ([{0, 1, 2, 3}] * 2, [0, 0], [2, 2]),
        ([{0, 1}, {2, 3}], [0, 0], [2, 2]),  # bound by the launcher
        ([{0, 1, 2, 3}, {0}], [0, 0], [3, 1]),
        ([{0}] * 3, [0, 0, 0], [1, 1, 1]),
        ([{0, 1}] * 3, [0, 0, 1], [1, 1, 2]),
    ],
)
def test_processes_of_a_machine_share_its_cores(monkeypatch, cores, machines, wanted):
    ranks = threading.local()

    def share(processes):
        return processes.threads

    def init(self, communicator, name):
        ranks.own = communicator.rank
        original(self, communicator, name)

    original = Processes.__init__
    monkeypatch.setattr(Processes, "__init__", init)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores[ranks.own], raising=False)
    monkeypatch.setattr(
        "nncompress.training.processes.usable_cores", lambda: len(cores[ranks.own])
    )
    assert in_processes(len(cores), share, machines=machines) == wanted


@pytest.mark.parametrize("variable", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"])
def test_many_processes_want_a_communicator(monkeypatch, variable):
    monkeypatch.setenv(variable, "2")
    with pytest.raises(InputError, match="2 processes were started but no communicator"):
        open_processes(None)


def test_processes_of_another_mpi_are_refused(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="sees only one each"):
        open_processes("naive")


def test_one_process_may_name_a_communicator():
    processes = open_processes("flat")
    assert (processes.size, processes.name, processes.is_first) == (1, "flat", True)


def test_a_missing_mpi4py_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(InputError, match=r"needs mpi4py .*nncompress\[mpi\]"):
        open_processes("naive")


def test_pure_nccl_wants_a_gpu():
    with pytest.raises(InputError, match="pure_nccl uses NCCL, which is only for GPUs"):
        Processes(None, "pure_nccl").connect(-1)


def test_each_process_of_a_machine_takes_a_gpu_of_its_own():
    gpus = in_processes(3, lambda each: (each.gpu(1), each.gpu(-1)), machines=[0, 0, 1])
    assert gpus == [(1, -1), (2, -1), (1, -1)]


def test_processes_that_are_to_do_different_things_are_refused():
    def compare(processes, values):
        try:
            processes.require_same(values[processes.rank])
        except InputError as error:
            return str(error)
        return None

    assert in_processes(2, lambda processes: compare(processes, "aa")) == [None, None]
    for told in in_processes(2, lambda processes: compare(processes, "ab")):
        assert "different options" in told
