import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.errors import InputError
from nncompress.runs.snapshot_period import SnapshotPeriod


@given(st.integers(1, 999_999_999), st.sampled_from("smh"))
def test_a_unit_makes_it_time_and_none_makes_it_iterations(number, unit):
    period = SnapshotPeriod.of(f"{number}{unit}")
    assert period.seconds == number * {"s": 1, "m": 60, "h": 60 * 60}[unit]
    assert period.iterations is None
    assert SnapshotPeriod.of(str(number)) == SnapshotPeriod(str(number), iterations=number)


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1", "1.5m", "30 s", "1d", "٣", "5m\n", 30, None]
)
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match=r"wanted seconds \(30s\), minutes \(5m\)"):
        SnapshotPeriod.of(text)
