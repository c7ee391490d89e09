"""The threshold page and the map in a real browser: dragged, built, hovered and clicked."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from kernel_core import pipeline
from kernel_core.findings import map_layout, pairs
from kernel_core.results.opening import open_map, open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.browser import server, settle, shoot, tab
from tests.support.caches import copied

pytestmark = pytest.mark.browser


def store_of(environment):
    return Store(Path(environment["KERNEL_EXPLORER_CACHE"]))


@pytest.fixture(scope="module")
def mapped(built_digits, tmp_path_factory):
    """The address of an app that shows the digits and their map, and its cache. UMAP does not run."""
    cache = copied(built_digits, tmp_path_factory.mktemp("mapped"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_layout, "layout", lambda indices, *_: map_layout.starting_points(indices))
        pipeline.build_map(SourceRequest("digits"), store=Store(cache))
    here = {"KERNEL_EXPLORER_SOURCE": "digits", "KERNEL_EXPLORER_CACHE": str(cache)}
    with server({**os.environ, **here}, tmp_path_factory.mktemp("server") / "log") as url:
        yield url, Store(cache)


def test_threshold_follows_the_pointer_and_stays_in_the_address(browser, digits_url, digits_cache):
    results = open_results(SourceRequest("digits"), store_of(digits_cache))
    values = pairs.nearest_pairs(results.neighbors_by("kernel"), *results.labels)["similarity"].to_numpy("f8")
    with tab(browser, digits_url) as page:
        page.goto("/similarities")
        settle(page)
        grip, count = page.locator(".threshold .grip"), page.locator(".threshold .count")
        box = page.locator(".threshold .grip .knob").bounding_box()
        page.mouse.move(box["x"] + 7, box["y"] + 9)
        page.mouse.down()
        page.mouse.move(box["x"] - 150, box["y"] + 9, steps=5)
        moved = float(grip.get_attribute("aria-valuenow"))
        expect(count).to_contain_text(f"{(values >= moved).sum()} of 500 test examples")
        assert "threshold" not in page.url, "nothing is told before the pointer lets go"
        page.mouse.up()
        page.wait_for_url(re.compile(rf"threshold={moved:g}"))
        settle(page)
        grip.focus()
        page.keyboard.press("End")
        expect(count).to_contain_text(re.compile(r"^1 of 500"))
        page.keyboard.press("Home")
        expect(count).to_contain_text("500 of 500")
        bar = page.locator(".threshold .bar").last
        ranks = re.search(r"rank (\d+) to (\d+)", bar.get_attribute("aria-label"))
        bar.focus()
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"near_duplicates\?"))
        settle(page)
        expect(page.get_by_label("First rank")).to_have_value(ranks[1])
        expect(page.get_by_label("Last rank")).to_have_value(ranks[2])


def hover_a_point(page):
    """Move over the map until a point is under the pointer."""
    box = page.locator(".map .view").bounding_box()
    for across in range(1, 20):
        for down in range(1, 20):
            page.mouse.move(box["x"] + box["width"] * across / 20, box["y"] + box["height"] * down / 20)
            if page.locator(".map .view.hovered").count():
                return
    pytest.fail("no point was met")


BESIDE_A_POINT = """
(root, away) => {
  const m = root._state, box = m.box.getBoundingClientRect();
  const at = i => [m.x[i] * m.view.scale + m.view.x, m.y[i] * m.view.scale + m.view.y];
  const distance = ([x, y], i) => Math.hypot(x - at(i)[0], y - at(i)[1]);
  const all = Array.from({ length: m.count }, (_, i) => i);
  for (const i of all) for (let turn = 0; turn < 8; turn++) {
    const [x, y] = at(i), angle = turn * Math.PI / 4;
    const spot = [x + away * Math.cos(angle), y + away * Math.sin(angle)];
    // 60 pixels on the right belong to the zoom buttons
    if (spot[0] < 0 || spot[1] < 0 || spot[0] > m.width - 60 || spot[1] > m.height) continue;
    if (all.every(j => j === i || distance(spot, j) > away + 4))
      return [box.left + spot[0], box.top + spot[1], i < m.tests ? `test:${i}` : `train:${i - m.tests}`]; }
}
"""
"""A place some pixels from a point and farther from all others, and the name of the point's example."""


@pytest.mark.slow
def test_map_is_built_from_the_page(browser, own_digits_cache, tmp_path):
    here = dict(os.environ, KERNEL_EXPLORER_SOURCE="digits")
    with server(here, tmp_path / "log") as url, tab(browser, url) as page:
        page.goto("/map")
        page.get_by_role("button", name="Build it now").click()
        page.wait_for_selector(".map canvas.points[data-ms]", timeout=200_000)
        settle(page)
        hover_a_point(page)
        shoot(page, "digits_map")


def test_map_is_hovered_and_opened(browser, mapped):
    url, store = mapped
    with tab(browser, url) as page:
        page.goto("/map")
        page.wait_for_selector(".map canvas.points[data-ms]")
        settle(page)
        hover_a_point(page)
        card = page.locator(".map .card")
        expect(card).to_be_visible()
        split, index = card.locator("b").inner_text().split(":")
        found = open_map(SourceRequest("digits"), store)
        names = [
            f"{s} example {i},"
            for s, i in map(found.example, found.nearest[found.point(split, int(index))].tolist())
        ]
        shown = [image.get_attribute("alt") for image in card.locator("img.small").all()]
        assert [alt[: len(name)] for alt, name in zip(shown, names, strict=True)] == names
        page.locator(".map .legend button", has_text=re.compile("^3")).click()
        page.wait_for_url(re.compile("only=3"))
        page.locator(".map .legend button", has_text="All classes").click()
        page.wait_for_url(lambda url: "only" not in url)
        x, y, name = page.locator(".map").evaluate(BESIDE_A_POINT, 12)
        page.mouse.move(x, y)
        expect(card).to_be_visible()
        expect(card.locator("b")).to_have_text(name)
        page.mouse.down()
        page.mouse.up()
        page.wait_for_url(re.compile(f"example\\?example={name}"))
        settle(page)
        page.go_back()
        page.wait_for_selector(".map canvas.points[data-ms]")


def test_lasso_becomes_a_list_and_the_view_is_in_the_address(browser, mapped):
    url, store = mapped
    found = open_map(SourceRequest("digits"), store)
    with tab(browser, url) as page:
        page.goto("/map")
        points = page.locator(".map canvas.points[data-ms]")
        points.wait_for()
        settle(page)
        box = page.locator(".map .view").bounding_box()
        left, top, width, height = (box[name] for name in ("x", "y", "width", "height"))
        page.mouse.move(left + width / 2, top + height / 2)
        page.mouse.wheel(0, -300)
        page.wait_for_url(re.compile("view=kernel:"))
        page.get_by_role("button", name="Lasso").click()
        page.mouse.move(left + 0.2 * width, top + 0.3 * height)
        page.mouse.down()
        for across, down in ((0.8, 0.35), (0.6, 0.9), (0.3, 0.5)):
            page.mouse.move(left + across * width, top + down * height, steps=9)
        page.mouse.up()
        page.wait_for_url(re.compile("names=|lasso="))
        page.wait_for_url(re.compile("view=kernel:"))
        selection = page.locator(".map .selection")
        count = int(re.match("([0-9,]+) examples?", selection.inner_text())[1].replace(",", ""))
        corners = np.array(page.locator(".map").evaluate("root => root._state.outline"))
        assert count == map_layout.inside(map_layout.steps(found.xy), corners).sum() > 20
        view = page.url
        page.reload()
        points.wait_for()
        expect(selection).to_contain_text(f"{count:,} examples")
        page.get_by_role("link", name="Open as list").click()
        page.wait_for_url(re.compile("/examples"))
        settle(page)
        page.get_by_text(f"{count:,} of 1,797 examples").wait_for()
        page.go_back()
        points.wait_for()
        expect(selection).to_contain_text(f"{count:,} examples")
        assert page.url == view
