"""The examples of README.md and of docs/ run, on small files of the names that they use.

An example is a block of Python or of commands. A page's examples run in order, in one directory
and one namespace. Those that need a library that is not installed are left out, which is printed;
`make test-bridges` runs them where it is (as all that goes by pytest.importorskip). Those that a
comment takes out (`<!-- skip: needs a GPU -->`) are listed below; the arguments of their commands
are parsed.
"""

import warnings
from collections import Counter

import pytest

from tests.docs import commands
from tests.docs.pages import REPOSITORY, examples_of, pages
from tests.docs.running import missing_from, names_read, names_set, run

PAGES = {page.relative_to(REPOSITORY).as_posix(): page for page in pages()}
EXAMPLES = {name: examples for name, page in PAGES.items() if (examples := examples_of(page))}
# How many examples of a page a comment takes out, by its reason.
TAKEN_OUT: dict[str, dict[str, int]] = {
    "docs/first-steps.md": {"downloads a model": 1, "installs": 1},
    "docs/models.md": {"needs WordLlama's files": 1},
    "docs/scale.md": {
        "needs a cluster with Slurm": 1,
        "needs an object store": 1,
        "needs workers on other machines": 1,
    },
}


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch, capsys, quick, kept):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    namespace, ran, missing, unset = {"__name__": "example"}, 0, Counter(), set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the stand-ins are few rows
        for example in EXAMPLES[page]:
            lacking = missing_from(example.text, example.is_python)
            if (example.skipped or lacking) and not example.is_python:
                for line in commands.lines_of(example.text):
                    commands.run(line, parses_alone=True)
            if example.skipped:
                continue
            if lacking or (names_read(example) & unset) - namespace.keys():
                missing.update(lacking)
                unset |= names_set(example)
            else:
                try:
                    run(example, namespace, kept)
                except BaseException as error:
                    error.add_note(f"in the example at {page}:{example.line + 1}")
                    raise
                ran += 1
    if missing:
        with capsys.disabled():
            print(f"\n{page}: {ran} examples ran, others were left out for {dict(missing)}")


def test_every_example_that_a_comment_takes_out_is_listed():
    found = {
        page: dict(Counter(example.skipped for example in examples if example.skipped))
        for page, examples in EXAMPLES.items()
    }
    assert {page: reasons for page, reasons in found.items() if reasons} == TAKEN_OUT
