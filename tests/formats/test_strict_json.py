import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncompress.formats.strict_json import strict_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def refuse(name):
    raise AssertionError(name)


def nulled(value):
    if isinstance(value, dict):
        return {name: nulled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [nulled(each) for each in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


@given(VALUES)
def test_what_is_read_is_what_was_written_but_for_numbers_that_are_not_finite(value):
    text = strict_json({"value": value}, sort_keys=True)
    assert json.loads(text, parse_constant=refuse) == {"value": nulled(value)}


def test_numpys_floats_and_tuples_are_taken():
    assert strict_json((np.float64("inf"), 1.5)) == "[null, 1.5]"
