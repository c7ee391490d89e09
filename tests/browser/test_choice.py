"""Choosing several of all examples in a real browser: clicks, ranges, rectangles, keys, and what follows."""

import re

import pytest
from playwright.sync_api import expect

from pages.ui import names
from tests.support.browser import listen, settle, tab, visit

pytestmark = pytest.mark.browser
COUNTS = {"test": 500, "train": 1297}


@pytest.fixture
def grid(browser, digits_url):
    """The first part of the list of all examples."""
    with tab(browser, digits_url) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visit(page, "/examples")
        yield page


def said(page, count):
    """Wait until the bar says how many are selected."""
    words = f"{count} selected" if count else ""
    expect(page.locator(".bar .said")).to_have_text(words)


def chosen(page):
    """The names that the bar's link opens, read as the server reads them."""
    href = page.get_by_role("link", name="Open as list").get_attribute("href")
    return [f"{split}:{index}" for split, index in names.from_text(href.partition("=")[2], COUNTS)]


def drag(page, first, last):
    """Drag a rectangle from the middle of one tile to the middle of another."""
    for tile, act in ((first, page.mouse.down), (last, page.mouse.up)):
        box = tile.locator("img").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
        act()


def test_clicks_ranges_rectangles_and_keys_choose(grid):
    tiles, checks = grid.locator(".gallery a.tile"), grid.locator(".gallery .check")
    tiles.nth(3).hover()
    checks.nth(3).click()
    checks.nth(6).click(modifiers=["Shift"])
    said(grid, 4)
    grid.get_by_role("button", name="Select", exact=True).click()
    tiles.nth(9).click()
    tiles.nth(4).click(modifiers=["Control"])
    assert chosen(grid) == ["test:3", "test:5", "test:6", "test:9"]
    columns = len(grid.locator(".gallery").evaluate("g => getComputedStyle(g).gridTemplateColumns").split())
    first = 2 * columns
    drag(grid, tiles.nth(first), tiles.nth(first + columns + 1))
    square = [first, first + 1, first + columns, first + columns + 1]
    assert chosen(grid) == [f"test:{i}" for i in (3, 5, 6, 9, *square)]
    tiles.nth(0).focus()
    grid.keyboard.press("Space")
    said(grid, 9)
    grid.get_by_role("button", name="Copy names").click()
    expect(grid.locator(".bar .said")).to_have_text("Names copied")
    copied = grid.evaluate("navigator.clipboard.readText()")
    assert copied.split("\n") == [f"test:{i}" for i in (0, 3, 5, 6, 9, *square)]
    grid.keyboard.press("Escape")
    said(grid, 0)
    grid.keyboard.press("Escape")
    tiles.nth(0).click()
    grid.wait_for_url("**/example?example=test:0**")


def test_chosen_examples_are_a_list_and_are_there_after_back(grid):
    tiles, checks = grid.locator(".gallery a.tile"), grid.locator(".gallery .check")
    for index in (7, 2):
        checks.nth(index).click()
    pair = grid.get_by_role("link", name="Compare").get_attribute("href")
    assert pair == "pair?a=test:2&b=test:7"
    grid.get_by_role("link", name="Open as list").click()
    grid.wait_for_url("**/examples?names=test:2,7")
    expect(tiles).to_have_count(2)
    said(grid, 0)
    tiles.nth(0).click()
    grid.wait_for_url("**/example?example=test:2&list=examples:test:2,7")
    grid.locator(".st-key-next button:enabled").click()
    grid.wait_for_url(re.compile("example=test(:|%3A)7"))
    for address in ("**example=test:2**", "**names=test:2,7", "**/examples"):
        grid.go_back()
        grid.wait_for_url(address)
        settle(grid)
    said(grid, 2)
    assert chosen(grid) == ["test:2", "test:7"]
    grid.get_by_text("wrong", exact=True).click()
    grid.wait_for_url("**outcome=wrong**")
    said(grid, 0)


TWO_LATE_RUNS = """() => {
  globalThis.__kernelExplorerHistory = "entered";
  for (const address of ["examples?names=test:2,7", "examples"]) history.pushState({}, "", address);
}"""


def test_choice_outlives_a_run_that_ends_after_its_page_was_left(grid):
    checks = grid.locator(".gallery .check")
    for index in (7, 2):
        checks.nth(index).click()
    listen(grid)
    grid.evaluate(TWO_LATE_RUNS)
    grid.reload()
    said(grid, 2)
    assert chosen(grid) == ["test:2", "test:7"]
