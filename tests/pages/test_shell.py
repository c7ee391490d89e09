"""What every page has: one heading, first on the page, and a tab named after it."""

import pytest

from pages.ui.shell import PAGES
from tests.support.app import heading_of, open_page, text_of

NAMES = [name for group in PAGES.values() for name in group]


def tab_of(app):
    return app.session_state["_tab"]


@pytest.mark.parametrize("page", NAMES)
def test_page_has_one_heading_and_names_its_tab(digits, page):
    app = open_page(page)
    assert heading_of(app)
    assert tab_of(app).endswith(" · digits · Kernel Explorer")


def test_tab_says_what_is_shown(digits):
    assert tab_of(open_page("near_duplicates")) == "Near-duplicates · digits · Kernel Explorer"
    app = open_page("pair", a="test:6", b="train:9")
    assert heading_of(app) == "test:6 ↔ train:9"
    assert tab_of(app) == "test:6 ↔ train:9 · digits · Kernel Explorer"


def test_page_that_shows_nothing_has_a_heading_first(digits, monkeypatch):
    app = open_page("pair", a="test:99999")
    assert heading_of(app) == "Pair"
    assert app.warning
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", "nonsense")
    app = open_page("map")
    assert (heading_of(app), tab_of(app)) == ("Map", "Map · Kernel Explorer")
    assert "nonsense" in text_of(app)


def test_page_of_a_source_not_built_has_its_heading(source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page("failure_modes")
    assert heading_of(app) == "Label conflicts"
    assert app.header[0].value == "Nothing is built yet"
