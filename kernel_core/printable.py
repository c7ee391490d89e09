"""Text that anyone may have written, made safe and short enough for a terminal, a page or a log."""

from __future__ import annotations

CELL, LINE = 80, 2_000  # characters shown of a name in a table, and of a message
NAME = 200  # characters kept of a name that a file gives to a class, a source or a layer


def printable(text: object, limit: int = LINE) -> str:
    r"""Return a text as one line of at most `limit` characters, its middle left out if it is longer.

    Whatever could move the cursor, change colors or the direction of writing is shown as an escape, a new
    line too. The end stays, as it says what to do.

    >>> printable("a\x1b[31m\nb"), printable("0123456789", 7)
    ('a\\x1b[31m\\nb', '012 … 9')
    """
    words = str(text)
    if len(words) > limit:
        words = _shortened(words, limit)
    if words.isprintable():
        return words
    words = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    return words if len(words) <= limit else _shortened(words, limit)


def _shortened(text: str, limit: int) -> str:
    begin = (limit - 2) * 2 // 3
    return f"{text[:begin]} … {text[-(limit - begin - 3) :]}"
