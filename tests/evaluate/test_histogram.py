import numpy as np
import pytest

figures = pytest.importorskip("matplotlib.figure")

from nncompress.evaluate.histogram import draw_histogram  # noqa: E402


def drawn(values, **options):
    """Returns the number of rows in the bars, the bars' ends and the text beside them."""
    axis = figures.Figure().subplots()
    draw_histogram(axis, np.asarray(values, dtype=float), bins=20, color="tab:blue", **options)
    count = sum(bar.get_height() for bar in axis.patches)
    ends = [bar.get_x() for bar in axis.patches] + [
        axis.patches[-1].get_x() + axis.patches[-1].get_width()
    ]
    return count, (min(ends), max(ends)), [text.get_text() for text in axis.texts]


def test_a_few_far_rows_do_not_squeeze_the_others(random):
    near, far = random.uniform(1, 4, size=9_963), random.uniform(50, 90, size=37)
    count, (_, end), (text,) = drawn(np.concatenate([near, far]))
    assert end <= 4.001
    left_out = int(text.split()[1])
    limit = float(text.split()[-1])
    assert left_out >= 37
    assert count + left_out == 10_000
    assert left_out == (np.concatenate([near, far]) > limit).sum()


def test_rows_without_far_ones_are_all_drawn(random):
    values = random.normal(size=5_000)
    count, ends, texts = drawn(values)
    assert (count, texts) == (5_000, [])
    assert ends == pytest.approx((values.min(), values.max()))


def test_small_cosines_are_counted_below(random):
    count, (start, _), (text,) = drawn([*random.uniform(0.9, 1, size=999), -0.7], far="below")
    assert text.startswith("and ")
    assert text.split()[-2] == "below"
    assert start >= 0.899
    assert count + int(text.split()[1]) == 1_000


@pytest.mark.parametrize("values", [[3.0] * 50, [0.5], [1.0, 2.0]])
def test_few_or_equal_rows_are_drawn_as_they_are(values):
    count, _, texts = drawn(values)
    assert (count, texts) == (len(values), [])


def test_one_far_row_is_one_row():
    *_, (text,) = drawn([1.0] * 499 + [100.0])
    assert text == "and 1 row\nabove 1"
