"""The matrix of failures in a real browser: a click filters, and matrix, control and address say the same."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import settle, tab, visit

pytestmark = pytest.mark.browser

CHOSEN = "#4a8fe0"  # the frame of the cell that filters
CELLS = "[data-testid=stVegaLiteChart] .mark-rect path[aria-label*='count: ']"


def matrix(page):
    """Each cell's labels (test example, neighbor) and count, as a screen reader gets them, and its color."""
    page.wait_for_selector(CELLS)
    cells = []
    for cell in page.locator(CELLS).all():
        said = dict(part.split(": ") for part in cell.get_attribute("aria-label").split("; "))
        pair = said["label"], said["neighbor's label"]
        cells.append((pair, int(said["count"]), cell.get_attribute("stroke"), cell))
    return cells


def expect_framed(page, pair):
    """Exactly this pair's cell is framed, or none, once the browser has drawn the matrix."""
    framed = page.locator(f"{CELLS}[stroke='{CHOSEN}']")
    expect(framed).to_have_count(1 if pair else 0)
    assert [each for each, _, stroke, _ in matrix(page) if stroke == CHOSEN] == ([pair] if pair else [])


def test_click_on_a_cell_filters_and_control_and_address_follow(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/failure_modes?by=penultimate")
        cells = matrix(page)
        (label, other), count, _, cell = max(cells, key=lambda cell: cell[1])
        svg = page.locator("[data-testid=stVegaLiteChart] svg").element_handle()
        cell.click(force=True)  # its number lies on it
        expect(page.locator(".gallery.rows .cell")).to_have_count(min(count, 8))
        page.wait_for_url(re.compile("labels_differ="))
        settle(page)
        expect_framed(page, (label, other))
        assert svg.evaluate("s => s.isConnected"), "a click must not draw the matrix anew"
        expect(page.locator("[data-testid=stSelectbox] input")).to_have_value(f"{label} ≠ {other}")
        for row in page.locator(".gallery.rows .cell").all():
            alts = [image.get_attribute("alt") for image in row.locator("img").all()[:2]]
            assert alts[0].endswith(f"label {label}")
            assert f"label {other}," in alts[1]
        address = page.url
        (second, third), more, _, cell = next(each for each in matrix(page) if each[0] != (label, other))
        cell.click(force=True)
        expect(page.locator("[data-testid=stSelectbox] input")).to_have_value(f"{second} ≠ {third}")
        expect(page.locator(".gallery.rows .cell")).to_have_count(min(more, 8))
        settle(page)
        expect_framed(page, (second, third))
        cell.dblclick(force=True)
        expect(page.locator("[data-testid=stSelectbox] input")).to_have_value("every pair of labels")
        expect(page.locator(".gallery.rows .cell")).to_have_count(8)
        settle(page)
        expect_framed(page, None)
    with tab(browser, digits_url) as another:
        visit(another, address)
        expect_framed(another, (label, other))
        another.locator("[data-testid=stSelectbox] input").click()
        another.get_by_role("option", name="every pair of labels").click()
        another.wait_for_url(re.compile("failure_modes[?]by=penultimate$"))
        settle(another)
        expect_framed(another, None)
