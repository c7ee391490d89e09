"""A report as headings, paragraphs and tables; the same one as Markdown, as HTML and on a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from kernel_core.printable import printable

SPECIAL = frozenset(r"\`*_[]<>|~$")
"""Characters that Markdown would obey; others do nothing within a line that begins with a letter."""
BEGINS = frozenset("#+->=")  # at the beginning of a line only


@dataclass(frozen=True)
class Table:
    """A table of short plain texts. left: how many of its first columns are words; the others are numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


@dataclass(frozen=True)
class Pictures:
    """Pairs, or single examples, to show where pictures can be shown.

    rows: each the names of one or two examples, as test:12, and a line below them. more: how many are left
    out.
    """

    rows: tuple[tuple[tuple[str, ...], str], ...]
    more: int = 0


LISTED = 20  # rows of pictures that Markdown names instead
LONG = 400  # characters of a cell
PADDED = 60  # up to which cells of a column are made equally wide


Block: TypeAlias = str | Table | Pictures


@dataclass(frozen=True)
class Section:
    """A heading with what is below it. Texts are plain: each is a paragraph."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report. lead: paragraphs before the first heading."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...] = field(default_factory=tuple)


def escape(text: str) -> str:
    r"""Return plain text so that Markdown shows it as it is, on one line.

    >>> escape("a|b_c"), escape("# no heading"), escape("1. no list")
    ('a\\|b\\_c', '\\# no heading', '1\\. no list')
    """
    words = "".join(f"\\{c}" if c in SPECIAL else c for c in printable(text))
    number = len(words) - len(words.lstrip("0123456789"))
    if number and words[number : number + 2] in (". ", ") "):
        return f"{words[:number]}\\{words[number:]}"
    return f"\\{words}" if words[:1] in BEGINS and words[1:2] in ("", *"#+-=> ") else words


def markdown(document: Document) -> str:
    """Return the document as Markdown; tables name what pictures would show."""
    parts = [f"# {escape(document.title)}", *map(escape, document.lead)]
    for section in document.sections:
        parts += [f"## {escape(section.title)}", *section_markdown(section)]
    return "\n\n".join(parts) + "\n"


def section_markdown(section: Section) -> Iterator[str]:
    """Yield each block of a section as Markdown."""
    for block in section.blocks:
        if isinstance(block, Table):
            yield table_markdown(block)
        elif isinstance(block, str):
            yield escape(block)
        else:
            rows = tuple((", ".join(names), text) for names, text in block.rows[:LISTED])
            yield table_markdown(Table(("examples", "verdict"), rows, left=2))
            if more := len(block.rows) - len(rows) + block.more:
                yield escape(f"{more:,} more are in the list.")


def table_markdown(table: Table) -> str:
    """Return a table as Markdown, its columns aligned as plain text too."""
    rows = [[escape(printable(cell, LONG)) for cell in row] for row in (table.columns, *table.rows)]
    widths = [min(PADDED, max(3, *map(len, column))) for column in zip(*rows, strict=True)]
    is_left = [n < table.left for n in range(len(table.columns))]
    ways = list(zip(widths, is_left, strict=True))
    lines = [
        [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, (width, left) in zip(row, ways, strict=True)
        ]
        for row in rows
    ]
    lines.insert(1, ["-" * width if left else "-" * (width - 1) + ":" for width, left in ways])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
