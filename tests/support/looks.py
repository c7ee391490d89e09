"""How pages look to an eye and to a machine: what moves while they load, and what axe-core finds wrong."""

from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources

from playwright import sync_api

from tests.support.browser import PATIENCE, listen, settle, watch

OBSERVER = """
window.shifts = [];
const named = (node) => !node ? "?"
  : node.nodeType === 1 ? [node.tagName.toLowerCase(), node.dataset.testid, ...node.classList].join(".")
  : "text in " + named(node.parentElement || node.parentNode.host);
const place = (box) => [box.x, box.y, box.width, box.height].map(Math.round).join(",");
new PerformanceObserver((list) => {
  for (const { value, startTime, hadRecentInput, sources } of list.getEntries()) {
    const moved = sources.map((source) =>
      named(source.node) + " " + place(source.previousRect) + " → " + place(source.currentRect));
    if (!hadRecentInput) window.shifts.push({ value, at: Math.round(startTime), moved });
  }
}).observe({ type: "layout-shift", buffered: true });
"""
"""A script that notes what moves, from the first paint on."""
DRAWN = "[data-testid=stApp]:not(:has([data-testid=stSkeleton]))"
"""The app once nothing stands for an element whose code is still to be loaded."""
SHIFTS = "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(window.shifts))))"
BUTTONS = ":is([data-testid=stButtonGroup], [data-testid=stDownloadButton])"
LATE = 6_000
"""Milliseconds that a late part of a page is held back, at most."""
AXE = "axe.run(document, { resultTypes: ['violations'] })"


@cache
def axe():
    """Return the script of axe-core."""
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text()


@contextmanager
def opened(browser, url, address, *, width=1400, late=""):
    """Open an address in a fresh profile and yield its page, drawn whole; requests that leave fail.

    late: the start of the name of a file of Streamlit's that arrives after the others.
    The page has `OBSERVER`, and lets scripts in that the policy of pages forbids, such as axe-core.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="light", base_url=url, bypass_csp=True
    )
    context.add_init_script(OBSERVER)
    page, errors = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    watch(page, url, errors.append)
    if late:
        arrive_late(page, address, late)
    else:
        page.goto(address)
    settle_whole(page)
    yield page
    context.close()
    assert not errors, errors


def arrive_late(page, address, name):
    """Open an address, and hold back the files whose names start so until buttons are drawn without them."""
    held = []
    page.route(f"**/static/**/{name}.*", lambda route: held.append(route))
    page.goto(address, wait_until="commit")
    with suppress(sync_api.TimeoutError):  # the app may wait for the file, and draw nothing without it
        page.wait_for_selector(BUTTONS, timeout=LATE)
        page.evaluate(SHIFTS)
    assert held, f"no {name} was asked for"
    for route in held:
        route.continue_()


def settle_whole(page):
    """Wait until everything is drawn, the keys last."""
    settle(page)
    page.wait_for_selector(DRAWN)
    listen(page)
    settle(page)


def shifts(page):
    """Return the layout shifts since the page was opened: score, millisecond, what moved from where to where.

    Shifts within half a second after a click or a key do not count.
    """
    return page.evaluate(SHIFTS)


def violations(page):
    """Return what axe-core finds wrong with the whole page, a line per element."""
    size = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size(
        {**size, "height": max(size["height"], height + 1)}
    )  # what is scrolled away is passed over
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe())
    found = page.evaluate(AXE)["violations"]
    page.set_viewport_size(size)
    return [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}: {node['html'][:200]}"
        for rule in found
        for node in rule["nodes"]
    ]
