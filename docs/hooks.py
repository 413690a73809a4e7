"""Puts what lies outside of docs/ on the site, and has links lead to it.

The pages of docs/ are read in the repository too, where `../SECURITY.md` and
`../examples/chainer/own_trainer.py` lead to files. On the site those have to lie within docs/: a
Markdown file that the navigation names becomes a page under its own path, and every other file
that a page links to is copied, so that no link leads to an address that the site does not have.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
# A link to a page in a notebook's HTML, which MkDocs leaves as it is.
NOTEBOOK_LINK = re.compile(r'(href=")([^":#]+\.(?:md|ipynb))(?=[#"])')
# A Markdown file that is no page is copied under a name that MkDocs takes for a file.
COPIES = "files"

_log = get_plugin_logger("hooks")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages of the navigation that lie outside of docs/."""
    for path in _named(config.nav):
        source = REPOSITORY / path
        if path.endswith(".md") and not files.get_file_from_path(path) and source.is_file():
            files.append(File.generated(config, path, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns the page with its links to files of the repository leading to those on the site."""
    here = page.file.src_uri
    outside = not (Path(config.docs_dir) / here).exists()
    in_repository = posixpath.dirname(here if outside else f"docs/{here}")

    def on_site(link: re.Match[str]) -> str:
        opening, target, anchor, closing = link.groups()
        if ":" in target:
            return link[0]
        path = posixpath.normpath(posixpath.join(in_repository, target))
        to = path.removeprefix("docs/")
        if path == to:
            if not files.get_file_from_path(path):
                to = _copy(path, here, files, config)
        elif not outside:
            return link[0]
        relative = posixpath.relpath(to, posixpath.dirname(here) or ".")
        return f"{opening}{relative}{anchor or ''}{closing}"

    return LINK.sub(on_site, markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns a notebook's page with its links to other pages leading to those on the site."""
    here = page.file.src_uri

    def on_site(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[2]))
        target = files.get_file_from_path(path)
        if target is None:
            _log.warning("%s links to %s, which is no page of the site", here, link[2])
            return link[0]
        return link[1] + target.url_relative_to(page.file)

    return NOTEBOOK_LINK.sub(on_site, html) if here.endswith(".ipynb") else html


def _named(nav: list | dict | str) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [
        path for item in (nav.values() if isinstance(nav, dict) else nav) for path in _named(item)
    ]


def _copy(path: str, page: str, files: Files, config: MkDocsConfig) -> str:
    source = REPOSITORY / path
    if not source.is_file():
        _log.warning("%s links to %s, which is no file of the repository", page, path)
        return path
    copy = f"{COPIES}/{path}.txt"
    if not files.get_file_from_path(copy):
        files.append(File.generated(config, copy, abs_src_path=str(source)))
    return copy
