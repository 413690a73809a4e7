import io
from types import SimpleNamespace

from nncompress.runs.console import PlainProgress


def lines_of(seconds_an_iteration, last, step=50, begin=0):
    """Returns what is printed while iterations take so long."""
    out = io.StringIO()
    progress = PlainProgress(last, out)
    trainer = SimpleNamespace(
        updater=SimpleNamespace(iteration=begin), elapsed_time=begin * seconds_an_iteration
    )
    progress.initialize(trainer)
    for iteration in range(begin + step, last + 1, step):
        trainer.updater.iteration = iteration
        trainer.elapsed_time = iteration * seconds_an_iteration
        progress(trainer)
    return out.getvalue().splitlines()


def test_a_long_run_prints_a_line_at_each_tenth():
    lines = lines_of(0.01, 40_000)
    assert lines[0] == "  4000 of 40000 iterations, 100 a second"
    assert [int(line.split()[0]) for line in lines] == list(range(4_000, 40_000, 4_000))


def test_a_quick_run_prints_nothing():
    assert lines_of(0.0005, 12_000) == []


def test_a_continued_run_measures_from_where_it_went_on():
    lines = lines_of(2.0, 1_000, begin=700)
    assert lines == [f"  {n} of 1000 iterations, 2 seconds each" for n in (800, 900)]
