"""Walk the app at random in a real browser, as an impatient visitor does."""

import random

from playwright.sync_api import Error

from tests.support.browser import WHOLE, watch

MAIN = "[data-testid=stMain] "
BUTTON = "button:enabled:not([data-testid$=elementToolbar])"  # a chart's tools are shown on hover only
LEFT_ALONE = {"Build it now", "Prepare it now"}  # they would change what the other walkers see
TYPED = ["0", "3", "7", "25", "601", "0.5", "-1", "1e9", "test:3", "train:12", "train:9999999", "cat", ""]
KEYS = ["n", "p", "o", "f", "b", "ArrowRight", "ArrowLeft", "ArrowDown", "Tab", "Enter"]
REACH = (
    1_000  # milliseconds in which a click reaches its target; else the target is gone, and another is tried
)
PATIENCE = 60_000  # milliseconds in which a page is whole; only a busy machine takes this long


def _any(page, rng, selector):
    """Return one visible element of a selector. Raises `LookupError` if there is none."""
    found = page.locator(selector).locator("visible=true")
    count = found.count()
    if not count:
        raise LookupError(selector)
    return found.nth(rng.randrange(count))


def _menu(page, rng):
    _any(page, rng, "[data-testid=stTopNavSection], [data-testid=stTopNavLink]").click()
    links = page.locator("[data-testid=stTopNavDropdownLink]").locator("visible=true")
    if links.count():
        _any(page, rng, "[data-testid=stTopNavDropdownLink]").click()


def _tile(page, rng):
    _any(page, rng, ".gallery a").click()


def _step(page, rng):
    _any(page, rng, ".st-key-next button:enabled, .st-key-previous button:enabled").click()


def _button(page, rng):
    target = _any(page, rng, f"{MAIN}{BUTTON}, {MAIN}summary, {MAIN}[data-testid=stCheckbox] label")
    if (target.text_content() or "").strip() not in LEFT_ALONE:
        target.click()


def _chart(page, rng):
    drawn = _any(page, rng, f"{MAIN}canvas, {MAIN}svg.marks")
    box = drawn.bounding_box() or {"width": 1, "height": 1}
    drawn.click(position={"x": rng.random() * box["width"], "y": rng.random() * box["height"]})


def _select(page, rng):
    _any(page, rng, f"{MAIN}[data-testid=stSelectbox] input").click()
    _any(page, rng, "[role=option]").click()


def _type(page, rng):
    field = _any(page, rng, f"{MAIN}input[type=text], {MAIN}input[type=number]")
    field.fill(rng.choice(TYPED))
    field.press("Enter")


def _slide(page, rng):
    _any(page, rng, f"{MAIN}[role=slider]").press(rng.choice(["ArrowLeft", "ArrowRight", "Home", "End"]))


def _key(page, rng):
    page.keyboard.press(rng.choice(KEYS))


def _back(page, rng):
    rng.choice([page.go_back, page.go_back, page.go_forward, page.reload])(wait_until="commit")


ACTIONS = {
    _menu: 5, _tile: 5, _button: 5, _step: 3, _back: 3, _chart: 2, _select: 2, _type: 2, _slide: 1, _key: 2
}  # fmt: skip
"""What a visitor does → how often, compared with the others."""


class Walk:
    """One visitor's walk through the app at `url`.

    failures: what went wrong so far, a line each, with the click that it came after.
    """

    def __init__(self, page, url, seed):
        self.page, self.url, self.seed, self.rng = page, url, seed, random.Random(seed)
        self.failures, self.last = [], f"seed {seed}, click 0"
        page.set_default_timeout(REACH)
        watch(page, url, self.fail)

    def fail(self, what):
        """Note a failure."""
        self.failures.append(f"{self.last}, {self.page.url.removeprefix(self.url)}: {what}")

    def click(self, number):
        """Do one thing at random; nothing where its target is missing. Return whether it was done."""
        (act,) = self.rng.choices(list(ACTIONS), list(ACTIONS.values()))
        self.last = f"seed {self.seed}, click {number} ({act.__name__.strip('_')})"
        try:
            act(self.page, self.rng)
        except LookupError:  # there is no such thing on this page
            return False
        except Error:  # it went away meanwhile, or a list that dropped down lies over it
            self.page.keyboard.press("Escape")
            return False
        if not self.page.url.startswith(self.url):  # a step back from the first page
            self.page.goto("/", timeout=PATIENCE)
        if self.rng.random() < 0.7:  # else the next click comes before the page is whole
            self.check()
        return True

    def check(self):
        """Wait until the page is whole; note an exception on it."""
        try:
            self.page.wait_for_selector(WHOLE, timeout=PATIENCE)
        except Error as error:
            self.fail(f"never whole: {error}")
        shown = self.page.locator("[data-testid=stException], [data-testid=stAlert]").all_inner_texts()
        for text in shown:
            if "Unexpected error" in text or "encountered an error" in text:
                self.fail(" ".join(text.split())[:400])


def walk(browser, url, *, seed, clicks):
    """Walk `clicks` clicks from the front page, the same for a seed as far as the pages are as quick.

    browser: playwright's, running. Returns what failed, a line each: an exception on a page, an error in a
    script, a request that leaves the server, a page that is never whole.
    """
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, base_url=url)
    walker = Walk(context.new_page(), url, seed)
    walker.page.goto("/", timeout=PATIENCE)
    walker.check()
    done = tried = 0
    while done < clicks and tried < 20 * clicks:
        tried += 1
        done += walker.click(done + 1)
    walker.check()
    if done < clicks:
        walker.fail(f"only {done} of {clicks} clicks found a target")
    context.close()
    return list(dict.fromkeys(walker.failures))
