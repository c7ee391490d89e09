"""A read-only server: nothing is built, trained or saved from a page, and the cache need not take files."""

import errno
import os

import pytest

from kernel_core.errors import Unavailable
from kernel_core.results import store
from kernel_core.review.verdicts import Item, Verdict
from kernel_core.sources.source import SourceRequest
from pages.ui import jobs, shell, small_map, verdicts
from tests.support.app import open_page, text_of

PAGES = [page for group in shell.PAGES.values() for page in group]


@pytest.fixture
def read_only(monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_READ_ONLY", "1")


@pytest.fixture
def full(monkeypatch):
    """A cache that takes no file."""

    def refuse(_folder):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(store, "_make_folder", refuse)


@pytest.mark.parametrize("page", PAGES)
def test_page_offers_no_build_and_opens_from_a_cache_that_takes_no_file(page, digits, read_only, full):
    app = open_page(page)
    assert not app.error
    assert not [button.label for button in app.button if button.label.startswith(("Build", "Prepare"))]


def test_page_names_the_command_instead_of_a_button(digits, source_folder, read_only, monkeypatch):
    app = open_page("map", by="pixels")
    assert "This server only shows" in text_of(app)
    assert app.code[0].value == "kernel-explorer map digits --similarity pixels"
    app = open_page("near_duplicates", within="train")
    assert app.code[0].value == (
        "kernel-explorer build digits --query train --database train --similarity kernel"
    )
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page("overview")
    assert app.header[0].value == "Nothing is built yet"
    assert app.code[0].value == f"kernel-explorer build {source_folder}"


def test_note_in_the_bar_only_where_it_is_read_only(digits, monkeypatch):
    def bar():
        return next(
            html.proto.body for html in open_page("overview").get("html") if "source-name" in html.proto.body
        )

    assert "read-only" not in bar()
    monkeypatch.setenv("KERNEL_EXPLORER_READ_ONLY", "1")
    assert "read-only" in bar()


def test_nothing_starts_and_nothing_is_saved(digits, read_only, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "verdicts.jsonl"))
    with pytest.raises(Unavailable, match="only shows"):
        jobs.jobs().start(SourceRequest("digits"), "map")
    verdict = Verdict("label", Item("test", 0), None, "given", "Ada")
    with pytest.raises(Unavailable, match="only shows"):
        verdicts.save(digits, [verdict])
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(small_map.ASKED, "1")
    small_map.build(digits, SourceRequest("digits", similarities=("pixels",)), jobs.jobs())
    assert not jobs.jobs().is_running(SourceRequest("digits", similarities=("pixels",)), "map")
