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


def test_the_share_is_of_the_work_that_was_expected():
    table, clock = table_of(10, 30)
    table.begin("phase 0")
    clock.now += 400  # a slow machine
    table.end()
    assert table.share() == 0.25
