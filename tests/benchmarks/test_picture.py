import re

import pytest

from benchmarks import picture
from nncompress.errors import InputError

README = picture.ROOT / "README.md"
# How README.md names the tables of RESULTS.md.
NAMES = {
    "French words, 300d": "French 300d",
    "GloVe words, 50d": "GloVe 6B 50d",
    "MiniLM tokens, 384d": "MiniLM's tokens",
    "WordLlama tokens, 256d": "WordLlama's tokens",
}


def rows_of_the_readme():
    """Yields name, bytes, times smaller, error, rival's error, and kept shares in percent."""
    text = README.read_text(encoding="utf-8")
    number, pair, percents = r"([\d.]+)", r"([\d.]+) \(([\d.]+)\)", r"(\d+)% \((\d+)%\)"
    row = rf"^\| (\w+ \w+, (\d+)d) \| {number} \| {number} \| {pair} \| {percents} \|"
    for name, dim, *numbers in re.findall(row, text, re.MULTILINE):
        yield name, int(dim), [float(number) for number in numbers]


def test_the_readmes_table_says_what_the_results_say():
    results = picture.RESULTS.read_text(encoding="utf-8")
    seen = list(rows_of_the_readme())
    assert len(seen) == 5
    for name, dim, (num_bytes, times, error, rival_error, kept, rival_kept) in seen:
        rates = picture.read_rates(results, NAMES[name])
        at = {
            method: (point[1], point[2])
            for method, points in rates.items()
            for point in points
            if point[0] == num_bytes
        }
        ours = [at.pop(method) for method in (picture.OURS, picture.ADAPTIVE) if method in at]
        assert times == round(4 * dim / num_bytes)
        assert error == float(f"{ours[0][0]:.3g}")
        assert kept == round(100 * max(point[1] for point in ours))
        assert rival_error == float(f"{min(point[0] for point in at.values()):.3g}")
        assert rival_kept == round(100 * max(point[1] for point in at.values()))


def test_the_picture_has_a_line_for_each_method_and_is_the_one_that_is_kept(tmp_path):
    path = tmp_path / "x.svg"
    picture.main(["--out", str(path)])
    drawn = path.read_text(encoding="utf-8")
    rates = picture.read_rates(picture.RESULTS.read_text(encoding="utf-8"), picture.TABLE)
    for text in (drawn, picture.PICTURE.read_text(encoding="utf-8")):
        for method in rates:
            label = "this project, --adaptive" if method == picture.ADAPTIVE else method
            assert f">{label}</text>" in text


def test_a_table_that_is_not_in_the_results_is_refused():
    with pytest.raises(InputError, match="no table of rates for 'Klingon'"):
        picture.read_rates("# Measured", "Klingon")
