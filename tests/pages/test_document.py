"""The document that addresses answer: Streamlit's, with our style, title and icon."""

import re

import pytest

from pages.ui import document
from pages.ui.components.component import read


@pytest.fixture
def fresh():
    """Nothing made yet, before and after."""
    document.document.cache_clear()
    yield
    document.document.cache_clear()


def test_document_has_our_style_title_and_icon_in_its_head(fresh):
    head, _, body = document.document().partition("</head>")
    assert read("page.css") in head
    assert "<title>Kernel Explorer</title>" in head
    assert "favicon.png" not in head
    assert '<div id="root">' in body


def test_document_leaves_it_to_our_script_to_start_the_app(fresh):
    text = document.document()
    assert re.findall(r'<script type="module"[^>]* src="([^"]+)"', text) == ["./start.js"]
    assert re.search(r'<link rel="modulepreload" crossorigin data-app href="./static/js/index[^"]+"', text)


def test_document_that_starts_its_app_otherwise_is_refused(fresh, tmp_path, monkeypatch):
    otherwise = document.STREAMLITS.read_text().replace('<script type="module" ', "<script defer ")
    (tmp_path / "index.html").write_text(otherwise)
    monkeypatch.setattr(document, "STREAMLITS", tmp_path / "index.html")
    with pytest.raises(RuntimeError, match='type="module"'):
        document.document()


def test_document_of_another_streamlit_is_refused(fresh, tmp_path, monkeypatch):
    (tmp_path / "index.html").write_text("<head></head>")
    monkeypatch.setattr(document, "STREAMLITS", tmp_path / "index.html")
    with pytest.raises(RuntimeError, match="<title>Streamlit</title>"):
        document.document()
