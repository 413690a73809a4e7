"""Every link of the pages that people read leads to a file, and to a heading that is there.

Links to other places are looked at for their form alone: nothing here asks the network.
"""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import REPOSITORY, pages, tokens_of

RESULTS = sorted((REPOSITORY / "benchmarks").glob("*.md"))
NOTEBOOKS = sorted((REPOSITORY / "docs").rglob("*.ipynb"))
# Headings of the API pages are the names that mkdocstrings finds, which `make docs` checks.
MADE = REPOSITORY / "docs" / "api"


def text_of(path: Path) -> str:
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def spans(path: Path) -> Iterator:
    for token in tokens_of(text_of(path)):
        yield from token.children or ()


def links_of(path: Path) -> list[str]:
    """Returns what a page's links and pictures lead to."""
    found = [span.attrs.get("href") or span.attrs.get("src") for span in spans(path)]
    html = re.findall(r"""(?:href|src|srcset)=["']([^"']+)["']""", text_of(path))
    return [str(link) for link in (*found, *html) if link]


def anchors_of(path: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub and MkDocs name them."""
    tokens, found = tokens_of(text_of(path)), set()
    for heading, content in itertools.pairwise(tokens):
        if heading.type == "heading_open":
            text = "".join(
                child.content
                for child in content.children
                if child.type in ("text", "code_inline")
            )
            found.add(re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", text.lower()).strip()))
    return found


@pytest.mark.parametrize(
    "page", [*pages(), *RESULTS, *NOTEBOOKS], ids=lambda page: str(page.relative_to(REPOSITORY))
)
def test_links_lead_to_files_and_headings(page):
    broken = []
    for link in links_of(page):
        parts = urlsplit(link)
        if parts.scheme:
            if parts.scheme not in ("http", "https", "mailto") or not (parts.netloc or parts.path):
                broken.append(link)
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        inside = target.is_relative_to(REPOSITORY)
        if not (inside and target.exists()):
            broken.append(link)
        elif parts.fragment and MADE not in target.parents and target.suffix in (".md", ".ipynb"):
            broken += [link] * (parts.fragment not in anchors_of(target))
    assert not broken, f"{page.name}: nothing is at {', '.join(broken)}"


def test_every_page_of_docs_is_in_the_navigation():
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    docs = REPOSITORY / "docs"
    for page in (*docs.rglob("*.md"), *docs.rglob("*.ipynb")):
        assert re.search(
            rf"[:-] {re.escape(page.relative_to(docs).as_posix())}$", navigation, re.M
        )
