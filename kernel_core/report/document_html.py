"""A report as one HTML file that opens from disk: no script, and nothing is fetched."""

from __future__ import annotations

from pathlib import Path

from kernel_core.report.document import Document, Pictures
from kernel_core.report.thumbnails import data_uri
from kernel_core.results.results import Results

TEMPLATE = Path(__file__).parent / "templates" / "document.html"


def html(document: Document, results: Results, *, images: bool = True) -> str:
    """Return the document as HTML. images: whether examples are shown, as data URIs, where there are images.

    All texts are escaped. Light and dark follow the browser's setting.
    """
    from jinja2 import Environment, StrictUndefined  # takes a while to load

    names = {
        name
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Pictures)
        for pair, _ in block.rows
        for name in pair
    }
    shown = {name: data_uri(results, name) for name in sorted(names)} if images and results.has_images else {}
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(document=document, images=shown) + "\n"
