from itertools import pairwise

import pytest

from nncompress.timetable import Count, Expected, Timetable


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def table_of(*seconds):
    clock = Clock()
    table = Timetable(clock)
    table.expect([Expected(f"phase {i}", each) for i, each in enumerate(seconds)])
    return table, clock


def test_the_time_left_is_that_of_all_phases():
    table, clock = table_of(10, 20, 30)
    assert table.seconds_left() == 60
    table.begin("phase 0")
    clock.now += 4
    assert table.seconds_left() == 56


def test_a_machine_that_is_half_as_fast_needs_twice_the_time():
    table, clock = table_of(10, 20, 30)
    table.begin("phase 0")
    clock.now += 20
    table.end()
    assert 80 < table.seconds_left() <= 100


def test_a_phase_that_counts_goes_by_its_own_rate():
    table, clock = table_of(10, 5)
    count = Count(1_000)
    table.begin("phase 0", count)
    count.n = 500
    clock.now += 50
    assert 90 < table.seconds_left() <= 100  # 50 of this phase, and 5 at a tenth of the speed


def test_what_had_been_counted_before_is_not_taken_for_speed():
    clock = Clock()
    table = Timetable(clock)
    count = Count(1_000, initial=900)
    table.begin("training", count)
    count.n = 950
    clock.now += 30
    assert table.seconds_left() == 30


def test_nothing_is_said_of_the_time_where_nothing_tells():
    table = Timetable(Clock())
    assert table.seconds_left() is None
    table.begin("reading")
    assert table.seconds_left() is None


def test_what_is_counted_within_a_phase_tells_how_long_it_lasts_at_least():
    clock = Clock()
    table = Timetable(clock)
    table.begin("refining")
    part = Count(100)
    table.begin_part(part)
    part.n = 25
    clock.now += 10
    assert table.seconds_left() == 30


def test_phases_that_turn_out_not_to_be_needed_are_left_out():
    table, _ = table_of(10, 20, 30)
    table.begin("phase 2")
    assert table.seconds_left() == 30
    assert table.share() == 0


def test_the_share_rises_to_the_end_and_never_falls():
    table, clock = table_of(1, 50, 2)
    shares = []
    for number, seconds in enumerate((3, 20, 9)):
        table.begin(f"phase {number}")
        for _ in range(20):
            clock.now += seconds / 20
            shares.append(table.share())
        table.end()
        shares.append(table.share())
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert 0.95 < shares[-1] < 1


def test_the_share_follows_the_count_and_reaches_the_end_whatever_was_expected():
    table, clock = table_of(1, 99, 1)
    for number, count in enumerate((Count(100), Count(100), Count(100))):
        table.begin(f"phase {number}", count)
        shares = []
        for _ in range(100):
            clock.now += 1
            count.n += 1
            shares.append(table.share())
        steps = [after - before for before, after in pairwise(shares[:98]) if after < 0.99]
        assert max(steps, default=0) - min(steps, default=0) < 1e-9
        table.end()
    assert shares[0] > 0.95
    assert shares[-1] >= 0.99


def test_phases_that_nobody_expected_have_the_whole_bar_each():
    clock = Clock()
    table = Timetable(clock)
    for name in ("checking rows", "training"):
        count = Count(10)
        table.begin(name, count)
        assert table.share() == 0
        count.n = 5
        assert table.share() == 0.5
        table.end()


def test_a_search_of_unknown_length_moves_on_within_a_round():
    table, clock = table_of(40)
    count = Count(4, is_steady=False)
    table.begin("phase 0", count)
    shares, left = [], []
    for _ in range(4):
        for _ in range(5):
            clock.now += 1
            shares.append(table.share())
            left.append(table.seconds_left())
        count.n += 1
        count.total = max(count.total, count.n + 1)
        table.note_count()
    assert shares == sorted(set(shares))
    assert left[5:15] == pytest.approx(range(14, 4, -1))


def test_a_stopped_clock_tells_nothing():
    table, clock = table_of(10, 30)
    count = Count(10)
    table.begin("phase 0", count)
    count.n = 5
    clock.now += 5
    before = table.share(), table.seconds_left()
    table.stop()
    clock.now += 1_000
    assert (table.share(), table.seconds_left()) == before
    table.go_on()
    assert (table.share(), table.seconds_left()) == before


def test_the_time_left_is_a_guess_until_something_has_been_timed():
    table, clock = table_of(10, 30)
    assert table.is_guess
    count = Count(100)
    table.begin("phase 0", count)
    assert table.is_guess
    clock.now += 9
    count.n = 50
    assert not table.is_guess


def test_the_share_is_of_the_work_that_was_expected():
    table, clock = table_of(10, 30)
    table.begin("phase 0")
    clock.now += 400  # a slow machine
    table.end()
    assert table.share() == 0.25
