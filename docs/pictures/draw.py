"""Draws the pictures of the documentation: `python docs/pictures/draw.py` writes them beside it.

They are SVG, written by hand, on a light card of their own, so that they can be read on dark pages
too.
"""

from html import escape
from pathlib import Path

INK, PALE, CARD = "#24324a", "#8fa0b8", "#f6f8fb"
BLUE, ORANGE, GREEN, GREY = "#cfe0fb", "#fde0bf", "#d3efd8", "#e6eaf0"
STRONG = "#d9601a"


class Picture:
    """A card that shapes are put on, from the upper left corner on."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker>'
            "</defs>",
            f'<rect width="{width}" height="{height}" rx="10" fill="{CARD}"/>',
        ]

    def box(
        self, x: float, y: float, w: float, h: float, lines: str = "", fill: str = GREY
    ) -> None:
        """Draws a box with lines of text in its middle."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="4" fill="{fill}" '
            f'stroke="{INK}"/>'
        )
        rows = lines.split("\n") if lines else []
        for number, line in enumerate(rows):
            self.text(x + w / 2, y + h / 2 + 4.5 + 16 * (number - (len(rows) - 1) / 2), line)

    def text(
        self, x: float, y: float, text: str, *, size: int = 13, anchor: str = "middle",
        fill: str = INK, bold: bool = False,
    ) -> None:  # fmt: skip
        """Writes a line of text."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{fill}"{weight}>{escape(text)}</text>'
        )

    def line(
        self, points: list[tuple[float, float]], *, tip: bool = False, color: str = INK,
        width: float = 1.3, dashed: bool = False,
    ) -> None:  # fmt: skip
        """Draws a line from point to point, with the tip of an arrow at its end."""
        places = " ".join(f"{x:g},{y:g}" for x, y in points)
        ends = ' marker-end="url(#tip)"' if tip else ""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="{width:g}"'
            f"{dashes}{ends}/>"
        )

    def dot(self, x: float, y: float, fill: str = CARD) -> None:
        """Draws a small circle."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="{fill}" stroke="{INK}"/>')

    def save(self, name: str) -> None:
        """Writes the picture."""
        text = "\n".join([*self._parts, "</svg>\n"])
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")


def autoencoder() -> None:
    """Draws the network that learns codes and codebooks."""
    picture = Picture(860, 300, "The autoencoder with its Gumbel-softmax bottleneck")
    picture.box(20, 110, 70, 60, "row x\n(D)", BLUE)
    picture.line([(90, 140), (118, 140)], tip=True)
    picture.box(120, 95, 110, 90, "encoder\ntanh layer,\nlogits (M × K)")
    picture.line([(230, 140), (258, 140)], tip=True)
    shares = [(0.1, 0.8, 0.05, 0.05), (0.7, 0.1, 0.1, 0.1), (0.05, 0.05, 0.1, 0.8)]
    for group, heights in enumerate(shares):
        y = 40 + 78 * group
        picture.box(262, y, 120, 58)
        for place, height in enumerate(heights):
            chosen = height == max(heights)
            picture.box(
                272 + 26 * place,
                y + 54 - 46 * height,
                20,
                46 * height,
                fill=STRONG if chosen else ORANGE,
            )
        picture.line([(382, y + 29), (408, y + 29)], tip=True)
        code = heights.index(max(heights))
        picture.box(410, y + 9, 62, 40, f"code {code}", ORANGE)
        picture.line([(472, y + 29), (498, y + 29)], tip=True)
        for place in range(4):
            picture.box(500, y + 2 + 14 * place, 110, 12, fill=STRONG if place == code else GREEN)
        picture.line([(610, y + 8 + 14 * code), (668, 140)], tip=True)
    picture.text(322, 26, "Gumbel-softmax, group by group", bold=True)
    picture.text(555, 26, "M groups of K codewords", bold=True)
    picture.box(670, 120, 40, 40, "sum", GREY)
    picture.line([(710, 140), (738, 140)], tip=True)
    picture.box(740, 110, 108, 60, "reconstruction\n(D)", BLUE)
    picture.text(
        430,
        290,
        "As tau falls, the shares become one-hot, and one code is left of each group.",
    )
    picture.save("autoencoder.svg")


def refinement() -> None:
    """Draws what comes after training."""
    picture = Picture(860, 270, "Refinement: codes and codebook in turn")
    for number, (name, fill) in enumerate(
        [("as trained", GREY), ("annealed (few bits)", ORANGE), ("grown (many bits)", GREEN)]
    ):
        picture.box(20, 52 + 56 * number, 160, 42, name, fill)
        picture.line([(180, 73 + 56 * number), (238, 129)], tip=True)
    picture.text(100, 36, "1. Starts, on a sample", bold=True)
    picture.box(240, 99, 110, 60, "the best,\nfor all rows", BLUE)
    picture.line([(350, 129), (398, 129)], tip=True)
    picture.text(295, 84, "2. All rows", bold=True)
    picture.text(640, 36, "3. Rounds that never raise the loss", bold=True)
    picture.box(
        400,
        70,
        200,
        118,
        "codes, row by row:\nbeam search,\nthen sample and descend\n(ICM), keep the better",
        ORANGE,
    )
    picture.box(680, 70, 160, 118, "codebook:\nleast squares\nfor all rows' codes", GREEN)
    picture.line([(600, 105), (678, 105)], tip=True)
    picture.line([(680, 155), (602, 155)], tip=True)
    picture.line([(500, 188), (500, 226), (536, 226)], tip=True)
    picture.text(545, 231, "until a round gains less than 0.1%, six at most", anchor="start")
    picture.save("refinement.svg")


def trellis() -> None:
    """Draws the road of a row to its bytes."""
    picture = Picture(860, 330, "The trellis: clusters, axes, the walk, and the entropy code")
    steps = [
        ("row", BLUE),
        ("minus the centre\nof its cluster", GREY),
        ("turned to the\nprincipal axes", GREY),
        ("divided by\nthe step", GREY),
        ("levels: the walk\nof least cost", ORANGE),
        ("bytes by an\nentropy code", GREEN),
    ]
    x = 16.0
    for number, (text, fill) in enumerate(steps):
        wide = 60 if number == 0 else 128
        picture.box(x, 30, wide, 56, text, fill)
        x += wide
        if number < len(steps) - 1:
            picture.line([(x, 58), (x + 24, 58)], tip=True)
            x += 26
    left, top, across, down = 120, 150, 90, 38
    path = [0, 1, 3, 2, 1, 2, 0, 1]
    for column in range(8):
        picture.text(
            left + across * column, top - 22, f"axis {column + 1}" if column < 7 else "", fill=PALE
        )
        for state in range(4):
            if column < 7:
                for bit in (0, 1):
                    after = (2 * state + bit) % 4
                    on = path[column] == state and path[column + 1] == after
                    ends = [
                        (left + across * column + 5, top + down * state),
                        (left + across * (column + 1) - 5, top + down * after),
                    ]
                    picture.line(ends, color=STRONG if on else PALE, width=3 if on else 0.8)
            picture.dot(
                left + across * column,
                top + down * state,
                STRONG if path[column] == state else CARD,
            )
    picture.text(left - 16, top + 5, "start", anchor="end")
    picture.text(
        430,
        300,
        "Each state allows only every other value: twice as far apart for as many bits;",
    )
    picture.text(
        430, 318, "the walk weighs squared error against bits. Here 4 states; 256 are used."
    )
    picture.save("trellis.svg")


def file() -> None:
    """Draws the layout of a file."""
    picture = Picture(860, 220, "The layout of a .nnc file")
    parts = [
        (56, "H\n8 bytes", GREY),
        (140, "header\nJSON, padded to 64", BLUE),
        (210, "codes or\nresidual.data", ORANGE),
        (150, "codebook, axes,\ntables", GREEN),
        (180, "vocabulary\nblocks, symbols, rows", GREY),
        (84, "extra.*", BLUE),
    ]
    x = 20.0
    for wide, text, fill in parts:
        picture.box(x, 60, wide, 62, text, fill)
        x += wide
    picture.text(20, 44, "byte 0", anchor="start", fill=PALE)
    picture.text(216, 44, "8 + H", fill=PALE)
    picture.text(840, 44, "end of the file", anchor="end", fill=PALE)
    picture.line([(142, 122), (142, 156), (526, 156), (526, 128)], tip=True)
    picture.text(334, 176, "each section's type, shape and place, and its SHA-256")
    picture.text(
        430,
        204,
        "A safetensors file: sections without gaps, larger numbers first, mapped and not read.",
    )
    picture.save("file.svg")


def alpha() -> None:
    """Draws how a matrix gives way to its factors."""
    picture = Picture(860, 290, "alpha falls from 1 to 0")
    left, right, top, bottom = 70, 560, 40, 220
    picture.line([(left, top - 10), (left, bottom), (right + 20, bottom)])
    picture.text(left - 12, top + 5, "1", anchor="end")
    picture.text(left - 12, bottom + 5, "0", anchor="end")
    picture.text(left + 8, top - 16, "alpha", anchor="start", bold=True)
    begin, end, steps = 190, 450, 10
    points: list[tuple[float, float]] = [(left, top), (begin, top)]
    for number in range(1, steps + 1):
        x = begin + (end - begin) * (number - 1) / (steps - 1)
        points += [
            (x, top + (bottom - top) * (number - 1) / steps),
            (x, top + (bottom - top) * number / steps),
        ]
    picture.line([*points, (right, bottom)], color=STRONG, width=2.5)
    for x, name in ((begin, "begin_compression_step"), (end, "alpha is 0: finalize")):
        picture.line([(x, top - 10), (x, bottom)], dashed=True, color=PALE)
        picture.text(x, bottom + 20, name)
    picture.text(right + 16, bottom + 20, "steps")
    picture.text(130, top + 24, "A alone")
    picture.text(510, bottom - 12, "factors alone")
    picture.text(
        430, 276, "each update lowers alpha by alpha_decrement_value; the first one factors A"
    )
    picture.box(620, 60, 220, 50, "alpha × (A x)", BLUE)
    picture.text(730, 132, "+", size=18)
    picture.box(620, 146, 220, 50, "(1 − alpha) × (B (C x))", GREEN)
    picture.save("alpha.svg")


if __name__ == "__main__":
    for draw in (autoencoder, refinement, trellis, file, alpha):
        draw()
