"""How every page looks: axe-core finds nothing wrong in light or dark, and little moves while it loads."""

import pytest
from playwright.sync_api import expect

from pages.ui.shell import PAGES
from tests.support import looks
from tests.support.browser import settle, tab, visit

pytestmark = pytest.mark.browser

ADDRESSES = {name: f"/{name}" for group in PAGES.values() for name in group}
ADDRESSES |= {"overview": "/", "example": "/example?example=test:25", "pair": "/pair?a=test:3"}
SHIFT = 0.1
"""The largest score of layout shift that web.dev calls good, here of all shifts together."""


def hardly_moved(page):
    """Fail if what moved since the page was opened adds up to `SHIFT`, with a line per element that did."""
    moved = looks.shifts(page)
    if sum(shift["value"] for shift in moved) >= SHIFT:
        lines = [
            f"{shift['value']:.3f} at {shift['at']} ms: {it}" for shift in moved for it in shift["moved"]
        ]
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.parametrize("name", ADDRESSES)
def test_page_has_no_violations_and_hardly_moves(browser, digits_url, name):
    with looks.opened(browser, digits_url, ADDRESSES[name]) as page:
        hardly_moved(page)
        icons = page.locator("link[rel~=icon]").evaluate_all("links => links.map((link) => link.href)")
        assert icons
        assert all(icon.startswith((digits_url, "data:")) for icon in icons)
        assert not looks.violations(page)
        page.emulate_media(color_scheme="dark")
        expect(page.locator("[data-testid=stApp]")).to_have_css("color-scheme", "dark")
        settle(page)
        assert not looks.violations(page)


@pytest.mark.parametrize(
    ("name", "late"),
    [("random_examples", "SourceSansVF-Upright"), ("feature_pairs", "Input"), ("leaks", "ButtonGroup")],
)
def test_page_hardly_moves_where_a_part_of_it_comes_late(browser, digits_url, name, late):
    with looks.opened(browser, digits_url, ADDRESSES[name]):
        pass  # the server is as fast from now on as it gets
    with looks.opened(browser, digits_url, ADDRESSES[name], late=late) as page:
        hardly_moved(page)


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 2200])
@pytest.mark.parametrize("source", ["digits", "cifar10"])
@pytest.mark.parametrize("name", ADDRESSES)
def test_page_hardly_moves_at_other_widths(browser, request, source, name, width):
    with looks.opened(
        browser, request.getfixturevalue(f"{source}_url"), ADDRESSES[name], width=width
    ) as page:
        hardly_moved(page)


def test_size_and_smoothing_are_in_the_address_and_the_next_page_keeps_them(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        image = page.locator(".gallery img").first
        expect(image).to_have_css("width", "96px")
        page.get_by_label("large tiles").check()
        page.wait_for_url("**size=l**")
        expect(image).to_have_css("width", "160px")
        page.get_by_label("smooth").check()
        page.wait_for_url("**drawn=smooth**")
        expect(image).to_have_css("image-rendering", "auto")
        address = page.url
        page.get_by_role("button", name="Next").click()
        expect(page.locator(".gallery .head").first).to_contain_text("#79")
        expect(image).to_have_css("width", "160px")
    with tab(browser, digits_url) as another:
        visit(another, address)
        expect(another.locator(".gallery img").first).to_have_css("width", "160px")


def test_phone_shows_two_pairs_side_by_side(browser, digits_url):
    with tab(browser, digits_url, width=420) as page:
        visit(page, "/near_duplicates")
        tops = page.locator(".gallery .cell").evaluate_all(
            "cells => cells.slice(0, 3).map((cell) => cell.getBoundingClientRect().top)"
        )
        assert tops[0] == tops[1] < tops[2]


def test_controls_are_folded_on_a_phone_alone(browser, digits_url):
    with tab(browser, digits_url, width=420) as page:
        visit(page, "/near_duplicates")
        same = page.locator(".st-key-labels").get_by_role("radio", name="same")
        fold = page.get_by_text("Filters and options")
        expect(fold).to_be_visible()
        expect(same).to_be_hidden()
        fold.click()
        same.click()
        page.wait_for_url("**labels=same**")
        expect(same).to_be_visible()  # a run of the page leaves it open
        page.set_viewport_size({"width": 1400, "height": 900})
        expect(fold).to_be_hidden()
        expect(same).to_be_visible()
