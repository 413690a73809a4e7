import re
from html.parser import HTMLParser

import numpy as np
import pytest

from nncompress.evaluate.page import Page, curve_of, is_point, write_page
from nncompress.evaluate.report import Report
from nncompress.evaluate.row_comparison import compare_rows
from nncompress.sources import EmbeddingMatrix

POINTS = [
    {"bytes_per_row": size, "distance": 9 / size, "cosine": 1 - 1 / size, "recall": None}
    for size in (4.0, 8.0, 16.0)
]


class Reader(HTMLParser):
    """Collects elements, what they refer to, and the text of the cells of tables."""

    def __init__(self):
        super().__init__()
        self.tags, self.links, self.cells = [], [], []
        self._is_cell = False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag in ("td", "th"):
            self._is_cell = True
            self.cells.append("")
        elif tag in ("tr", "svg", "p", "h2"):
            self._is_cell = False

    def handle_data(self, data):
        if self._is_cell:
            self.cells[-1] += data


@pytest.fixture
def rows(matrix, random):
    others = (matrix + random.normal(size=matrix.shape)).astype(np.float32)
    return compare_rows(EmbeddingMatrix(matrix), lambda numbers: others[numbers])


def read(path, **parts):
    write_page(path, Page(**parts))
    text = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    reader.cells = [cell.strip() for cell in reader.cells]
    return text, reader


def test_a_page_asks_nothing_of_the_network_and_shows_all(rows, tmp_path):
    report = Report(rows.figures, (), rows.basis())
    words = [f"w{i}" for i in range(300)]
    shares = np.arange(300, 0, -1) / np.arange(301).sum()
    text, reader = read(
        tmp_path / "x.html", original="o.npy", compressed="c.nnc", facts={"size": "9 bytes"},
        report=report, rows=rows, words=words, shares=shares, curve=POINTS, chosen=POINTS[1],
    )  # fmt: skip
    assert reader.tags.count("svg") == 3
    assert all(link.startswith("#") for link in reader.links)
    addresses = set(re.findall(r"https?://[^\"' <>]*", text))
    assert all(address.startswith("http://www.w3.org/") for address in addresses)  # namespaces
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert report.lines["relative error"] in reader.cells
    assert {"9 bytes", "before", "after"} <= set(reader.cells)
    row = reader.cells.index("before") + 2  # the first word's: word, kept, before, after
    query = words.index(reader.cells[row])
    place = list(rows.queries).index(query)
    assert reader.cells[row + 2] == ", ".join(words[i] for i in rows.before[place])
    assert reader.cells[row + 3] == ", ".join(words[i] for i in rows.after[place])
    assert text.count("<title>") == 1


def test_words_of_others_are_shown_and_never_obeyed(rows, tmp_path):
    words = [
        "<script>alert(1)</script>",
        'a"&b',
        "\x00\x1b[31m",
        "\u202eback",
        *map(str, range(296)),
    ]
    words = (words * 2)[:300]
    words = [words[0]] * 150 + words[:150]
    name = "<img src=x onerror=alert(1)>"
    text, reader = read(
        tmp_path / "x.html", original=name, compressed=name, facts={name: name},
        report=Report({}, (), name), rows=rows, words=words,
    )  # fmt: skip
    assert not {"script", "img"} & set(reader.tags)
    assert "<script>alert(1)</script>" in "".join(reader.cells)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_small_tables_have_a_page_too(tmp_path):
    for same in (np.ones((3, 2), np.float32), np.zeros((1, 2), np.float32)):
        rows = compare_rows(EmbeddingMatrix(same), lambda numbers, same=same: same[numbers])
        _, reader = read(
            tmp_path / "x.html", original="o", compressed="c", facts={}, report=Report(),
            rows=rows, words=range(3),
        )  # fmt: skip
        assert reader.tags.count("svg") == 2


@pytest.mark.parametrize(
    "curve",
    [None, 7, "x", [1], [{}], [{**POINTS[0], "cosine": "1"}], [{**POINTS[0], "recall": [1]}],
     [{**POINTS[0], "distance": float("inf")}], [{**POINTS[0], "distance": True}]],
)  # fmt: skip
def test_curves_that_are_none_are_left_out(curve):
    assert curve_of({"curve": curve}) == []


def test_a_curve_is_read_from_what_a_file_tells():
    assert curve_of({"curve": POINTS}) == POINTS
    assert curve_of({}) == []
    assert is_point({**POINTS[0], "recall": 0.5})
