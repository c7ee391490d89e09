"""A report on a page: its sections, what they show as pictures, and its files to download."""

from __future__ import annotations

from functools import partial

import streamlit as st

from kernel_core.report.document import Pictures, Section
from kernel_core.report.document_html import section_html
from kernel_core.results.results import Results
from kernel_core.review.judged import Key
from kernel_core.spec import parse_example
from pages.ui.components.copy_link import copy_link
from pages.ui.panels import disputed
from pages.ui.reports import Made
from pages.ui.wording import DIFFERENT_LABEL, escape

ROOM, LETTER = 56, 7.2  # pixels of a button without its text, and of a letter
TYPES = {"md": "text/markdown", "html": "text/html", "json": "application/json", "csv": "text/csv"}
"""Ending of a file's name → its type; others are plain text."""


def show_files(made: Made) -> None:
    """Show a button per file of a report; each is made when it is asked for."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="report_files"):
        for name in made.names:
            st.download_button(
                name,
                partial(_content, made, name),
                file_name=name,
                mime=TYPES.get(name.rpartition(".")[2], "text/plain"),
                on_click="ignore",
                key=f"file_{name}",
                icon=":material/download:",
                width=round(ROOM + LETTER * len(name)),
            )
        copy_link("copy_leaks")


def _content(made: Made, name: str) -> bytes:
    return made.texts()[name].encode("utf-8", "replace")


def show_sections(results: Results, sections: tuple[Section, ...]) -> None:
    """Show sections in one element, which grows downwards alone, then those that have pictures."""
    written = [section for section in sections if not _has_pictures(section)]
    st.html("".join(map(section_html, written)))
    for section in filter(_has_pictures, sections):
        st.header(escape(section.title))
        for block in section.blocks:
            if isinstance(block, Pictures):
                _show_pictures(results, block, section.title)


def _has_pictures(section: Section) -> bool:
    return any(isinstance(block, Pictures) for block in section.blocks)


def _show_pictures(results: Results, pictures: Pictures, label: str) -> None:
    keys: list[Key] = [
        tuple(parse_example(name, results.example_counts) for name in names) for names, _ in pictures.rows
    ]
    disputed.show_items(results, keys, {}, label)
    more = f"{pictures.more:,} more are in the list of pairs. " if pictures.more else ""
    st.caption(f"{more}{DIFFERENT_LABEL}")
