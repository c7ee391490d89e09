"""The map's script without a server: two fingers, and the legend of one class and of a thousand."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from playwright.sync_api import expect

from pages.ui.components import component
from pages.ui.components.map import packed, palette

pytestmark = pytest.mark.browser

SHOW = """
async ([script, data]) => {
  const component = await import(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })));
  globalThis.told = [];
  const setTriggerValue = (name, value) => told.push([name, value]);
  component.default({ data, parentElement: document.body, setTriggerValue });
}
"""
SAY = """
said => { const bus = globalThis.__kernelExplorerMap;
  bus.message = { id: 'a map', choice: '', only: -1, show: 'both', selected: -1,
    marks: { text: '', bits: '', title: '' }, ...said };
  bus.dispatchEvent(new Event('message')); }
"""


@contextmanager
def shown(browser, classes, width=1000, display="block"):
    """A page that shows a map of 200 test and 400 training examples and nothing else.

    display: of the page at first; with "none" the map has no size, and example 7 is selected before it has.
    """
    rng = np.random.default_rng(0)
    names = [f"class number {c}" for c in range(classes)]
    labels = rng.integers(0, classes, 600)
    data = {
        "id": "a map", "similarity": "kernel", "tests": 200, "names": names, "palette": palette(classes),
        "label": "a map",
        "width": 96, "height": 96, "small": [64, 64], "rendering": "auto",
        **packed(SimpleNamespace(xy=rng.normal(size=(600, 2))), labels),
    }  # fmt: skip
    context = browser.new_context(viewport={"width": width, "height": 800}, has_touch=True)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    style = component.read("theme.css") + component.read("map.css")
    page.set_content(
        f"<style>{style}</style><body style='display: {display}'>{component.read('map.html')}</body>"
    )
    page.evaluate(SHOW, [component.script("map"), data])
    if display == "none":
        page.evaluate(SAY, {"selected": 7})
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.evaluate("document.body.style.display = 'block'")
    page.wait_for_selector(".map canvas.points[data-ms]")
    yield page, labels
    context.close()
    assert not errors, errors


def view(page):
    return page.locator(".map").evaluate("m => m._state.view")


def at(page, x, y):
    """What lies at a place of the window, in the map's own measure."""
    seen, box = view(page), page.locator(".map .view").bounding_box()
    return np.array([x - box["x"] - seen["x"], y - box["y"] - seen["y"]]) / seen["scale"]


def test_map_without_a_size_waits_until_it_has_one(browser):
    """A page that is being left has none; painting it then ended in an error."""
    with shown(browser, 10, display="none") as (page, _):
        page.wait_for_function("document.querySelector('.map')._state.selected === 7")
        place = page.locator(".map").evaluate(
            "m => [m._state.x[7] * m._state.view.scale + m._state.view.x, m._state.width / 2]"
        )
        assert place[0] == pytest.approx(place[1])


def test_two_fingers_zoom_and_move_what_lies_under_them(browser):
    with shown(browser, 10, width=420) as (page, _):
        session = page.context.new_cdp_session(page)

        def touch(kind, *fingers):
            points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(fingers)]
            session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

        before, under = view(page), [at(page, 150, 200), at(page, 210, 200)]
        touch("Start", (150, 200))
        touch("Start", (150, 200), (210, 200))
        for step in range(1, 11):
            touch("Move", (150 - 3 * step, 200 + 2 * step), (210 + 9 * step, 200 + 2 * step))
        touch("End")
        page.wait_for_function(
            "scale => document.querySelector('.map')._state.view.scale !== scale", arg=before["scale"]
        )
        assert view(page)["scale"] / before["scale"] == pytest.approx(3)
        assert at(page, 120, 220) == pytest.approx(under[0])
        assert at(page, 300, 220) == pytest.approx(under[1])
        moved = view(page)
        touch("Start", (150, 200))
        touch("Start", (150, 200), (210, 200))
        touch("End")
        assert view(page) == moved
        assert page.locator(".map .view.hovered").count() == 0, "two fingers are no tap"
        touch("Start", (200, 200))
        touch("Move", (230, 210))
        touch("End")
        page.wait_for_function("x => document.querySelector('.map')._state.view.x === x", arg=moved["x"] + 30)


def test_class_is_found_among_a_thousand(browser):
    with shown(browser, 1000) as (page, labels):
        legend, buttons = page.locator(".map .legend"), page.locator(".map .names button")
        there = np.unique(labels).tolist()
        expect(buttons).to_have_count(len(there))
        assert legend.evaluate("l => l.clientHeight") <= page.locator(".map .view").bounding_box()["height"]
        expect(page.get_by_role("button", name="All classes")).to_be_in_viewport()
        last = there[-1]
        page.evaluate(SAY, {"choice": "as the address says", "only": last})
        expect(page.locator(".map .names [aria-pressed=true]")).to_be_in_viewport()
        find = page.get_by_placeholder("Find a class")
        expect(find).to_be_in_viewport()
        find.fill(f"NUMBER {last}")
        expect(page.locator(".map .names button:visible")).to_have_count(1)
        find.press("Enter")
        find.fill("number")
        page.get_by_role("button", name=f"class number {there[0]} ").click()
        assert page.evaluate("told") == [
            ["choice", {"only": only, "show": "both", "marks": ""}] for only in (-1, there[0])
        ]


def test_map_of_one_class_has_no_search(browser):
    with shown(browser, 1) as (page, _):
        expect(page.locator(".map .names button")).to_have_text("class number 0600")
        assert page.get_by_placeholder("Find a class").count() == 0
