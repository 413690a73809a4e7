"""Text from files, made safe to show on a terminal or a page."""

import unicodedata

# Control characters, halves of surrogate pairs, and separators of lines and paragraphs. Joiners,
# without which some scripts are misspelt, are not among them.
_ESCAPED = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # the order of letters


def printable(text: str) -> str:
    """Returns text with the characters escaped that control a terminal or turn other text around.

    Args:
        text: Text that may come from a file.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode()
        if unicodedata.category(c) in _ESCAPED or c in _TURNING
        else c
        for c in text
    )
