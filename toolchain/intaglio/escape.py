"""Text from files on its way out: into C, file names, HTML, Markdown and terminals. Nothing else escapes text.

Each function lets through what it names and replaces the rest, one character at a time. So no sequence of characters
can become anything but text: a character that is replaced cannot make another one dangerous.
"""

from __future__ import annotations

import html as _html
import string

_LETTERS = frozenset(string.ascii_letters + string.digits)
_IN_C = _LETTERS | frozenset(" _-+=.,:;/|^~@%&()[]{}<>!")
"""Without `*` and `\\`, which end or continue a comment; without `?` of trigraphs; without `$` and `#` of makefiles."""
_IN_MARKDOWN = _LETTERS | frozenset(" _.,:;/=+-()%'\"")


def for_terminal(text: str, lines: bool = False) -> str:
    """Without control characters, which make a terminal do things, and without marks that reorder or hide text.

    `lines` keeps line ends. What is left out is shown as `?`.
    """
    return "".join(c if c.isprintable() or (lines and c == "\n") else "?" for c in text)


def for_c(text: str, limit: int = 120) -> str:
    """For a comment in C or C++: ASCII, on one line, without comment marks, splices and trigraphs."""
    return "".join(c if c in _IN_C else "_" for c in text[:limit])


def for_file_name(text: str, limit: int = 40) -> str:
    """Letters, digits and underscores of ASCII: part of a file's name on any system, and of a C identifier."""
    return "".join(c if c in _LETTERS else "_" for c in text[:limit])


def for_html(text: str) -> str:
    """For the text and the attributes of a page."""
    return _html.escape(for_terminal(text))


def for_markdown(text: str) -> str:
    """For a table's cell or a paragraph: what could be markup, or HTML in it, becomes a numeric entity."""
    return "".join(c if c in _IN_MARKDOWN or c.isalnum() else f"&#{ord(c)};" for c in for_terminal(text))
