"""A report as one HTML file that opens from disk: no script, and nothing is fetched."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from kernel_core.report.document import Document, Pictures, Section
from kernel_core.report.thumbnails import data_uri
from kernel_core.results.results import Results

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).parent / "templates"


def html(document: Document, results: Results, *, images: bool = True) -> str:
    """Return the document as HTML. images: whether examples are shown, as data URIs, where there are images.

    All texts are escaped. Light and dark follow the browser's setting.
    """
    names = {
        name
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Pictures)
        for pair, _ in block.rows
        for name in pair
    }
    shown = {name: data_uri(results, name) for name in sorted(names)} if images and results.has_images else {}
    return _template("document.html").render(document=document, images=shown) + "\n"


def section_html(section: Section) -> str:
    """Return a section as HTML without pictures; each table is in a box that can be scrolled sideways."""
    return _template("section.html").render(section=section, images={})


@functools.cache
def _template(name: str) -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # takes a while to load

    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name)
