from types import SimpleNamespace

from nncompress.training.stops import Stops
from nncompress.training.triggers import ThrottledTrigger


def test_time_counts_from_the_first_look_and_the_last_iteration_always_fires():
    """A run that goes on has an elapsed time already."""
    trigger = ThrottledTrigger(9, 30.0)
    fired = [
        iteration
        for iteration, now in enumerate([500, 510, 529, 530, 559, 561, 562, 600, 601], 1)
        if trigger(SimpleNamespace(elapsed_time=now, updater=SimpleNamespace(iteration=iteration)))
    ]
    assert fired == [4, 6, 8, 9]
    assert trigger.update_stops() == Stops(at_iterations=frozenset({9}))
