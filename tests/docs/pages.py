"""The pages that people read, and the examples in them."""

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

REPOSITORY = Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"<!--\s*skip:\s*(.+?)\s*-->")
# What a fenced block may hold beside examples.
NOT_EXAMPLES = {"text", "json", "bibtex", "yaml", "toml", "csv"}
SHELLS = {"bash", "sh", "shell"}


@dataclass(frozen=True)
class Example:
    """A block of Python or of commands.

    Attributes:
        page: The page's path within the repository.
        line: The line before the block's first one.
        is_python: Whether it is Python; commands otherwise.
        text: The block.
        skipped: Why it is not run, as a comment before it says; empty: it is.
    """

    page: str
    line: int
    is_python: bool
    text: str
    skipped: str


def pages() -> list[Path]:
    """Returns the Markdown files that people read."""
    top = sorted(path for path in REPOSITORY.glob("*.md"))
    return [*top, *sorted((REPOSITORY / "docs").rglob("*.md"))]


def tokens_of(text: str) -> list[Token]:
    """Returns a page's blocks and spans."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def examples_of(page: Path) -> list[Example]:
    """Returns a page's examples, in order.

    A fenced block says what it holds; an indented one holds commands. ``<!-- skip: REASON -->``
    before a block has it not run.
    """
    name = page.relative_to(REPOSITORY).as_posix()
    found, skipped = [], ""
    for token in tokens_of(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            comment = COMMENT.search(token.content)
            skipped = comment[1] if comment else ""
        elif token.type in ("fence", "code_block"):
            language = token.info.strip().split(" ")[0] if token.type == "fence" else "bash"
            if language not in NOT_EXAMPLES:
                where = f"{name}:{token.map[0] + 1}"
                assert language in {"python", *SHELLS}, f"{where}: what is {language!r}?"
                line = token.map[0] + (token.type == "fence")
                found.append(Example(name, line, language == "python", token.content, skipped))
            skipped = ""
    return found
