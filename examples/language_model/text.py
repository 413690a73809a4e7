"""Text that comes with Python itself: its language reference, and its library's docstrings."""

import ast
import re
import sys
import sysconfig
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.errors import InputError

UNKNOWN, END = "<unk>", "<eos>"
PARTS = ("training", "validation", "test")
_NUM_WORDS = 4_096
_LEAST_WORDS = 100_000
# Modules that some distributions package separately, so they may be missing.
_LEFT_OUT = frozenset(
    {"antigravity", "distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtle",
     "turtledemo"}
)  # fmt: skip
_WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|_+|([^\w\s])\1*")
_LONGEST_RUN = 4


@dataclass(frozen=True)
class Corpus:
    """Texts as word numbers.

    Attributes:
        vocabulary: The words, the most frequent first; ``<unk>`` stands for all others, and
            ``<eos>`` ends a text.
        training: Numbers of words, int32 ``(n,)``: all texts in sequence.
        validation: The same for other documents.
        test: The same for further documents.
    """

    vocabulary: list[str]
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part)):,} for {part}" for part in PARTS)
        unknown = np.mean(self.test == self.vocabulary.index(UNKNOWN))
        return (
            f"{sizes}; a vocabulary of {len(self.vocabulary):,} words, without {unknown:.1%} of "
            "the test words"
        )


def python_documents() -> dict[str, list[str]]:
    """Reads the texts of this Python installation, in a fixed order.

    Returns:
        Texts by the document that they come from: a topic of the language reference
        (``pydoc_data.topics``), or the docstrings of a file in the standard library. A text that
        occurs in several documents belongs to the first.

    Raises:
        InputError: This Python comes without its sources.
    """
    from pydoc_data.topics import topics

    documents = {f"topic {name}": [topics[name]] for name in sorted(topics)}
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.rglob("*.py")):
        first, *others = file.relative_to(library).with_suffix("").parts
        known = first in sys.stdlib_module_names and first not in _LEFT_OUT
        if known and not {"test", "tests"} & {first, *others}:
            documents[file.relative_to(library).as_posix()] = _docstrings(file)
    seen: set[str] = set()
    for name, texts in documents.items():
        documents[name] = [text for text in dict.fromkeys(texts) if text not in seen]
        seen.update(texts)
    documents = {name: texts for name, texts in documents.items() if texts}
    if sum(len(text.split()) for texts in documents.values() for text in texts) < _LEAST_WORDS:
        raise InputError(
            f"{library} has fewer than {_LEAST_WORDS:,} words in docstrings; wanted a Python that "
            "includes the sources of its library"
        )
    return documents


def _docstrings(file: Path) -> list[str]:
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    tree = ast.parse(file.read_bytes())
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [text for text in found if text]


def words_of(text: str) -> list[str]:
    """Returns a text's words in lower case; a run of one symbol is a word of up to 4 symbols."""
    return [match.group().lower() if match.group(1) is None else match.group()[:_LONGEST_RUN]
            for match in _WORDS.finditer(text)]  # fmt: skip


def split(documents: dict[str, list[str]]) -> dict[str, list[str]]:
    """Returns the documents' names by part; of ten in a row, eight are for training."""
    names: dict[str, list[str]] = {part: [] for part in PARTS}
    for number, name in enumerate(documents):
        names[{4: "validation", 9: "test"}.get(number % 10, "training")].append(name)
    return names


def read_corpus(
    documents: dict[str, list[str]] | None = None, num_words: int = _NUM_WORDS
) -> Corpus:
    """Splits documents into three parts, and numbers their words.

    Args:
        documents: Texts by document; by default those of ``python_documents``.
        num_words: The largest size of the vocabulary: the most frequent words in training.

    Raises:
        InputError: There are fewer than ten documents.
    """
    documents = python_documents() if documents is None else documents
    if len(documents) < 10:
        raise InputError(f"there are {len(documents)} documents; wanted at least 10 to split")
    words = {
        part: [
            word
            for name in names
            for text in documents[name]
            for word in [*words_of(text), END]
        ]
        for part, names in split(documents).items()
    }  # fmt: skip
    counts = Counter(words["training"])
    counts.pop(END)
    vocabulary = [UNKNOWN, END, *(word for word, _ in counts.most_common(num_words - 2))]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    return Corpus(
        vocabulary,
        *(np.array([numbers.get(word, 0) for word in words[part]], np.int32) for part in PARTS),
    )
