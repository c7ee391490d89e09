"""The app in a real browser: a server, a tab, and what a test waits for.

Screenshots are left in test-screenshots/, which git ignores.
"""

import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

from kernel_core.cli.serving import ALLOCATOR
from tests.support.command import ROOT, assert_no_torch, process_of, reserved_port, wait_until_healthy

# Milliseconds. A wait ends as soon as it can; only a busy machine takes this long.
PATIENCE = 45_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WHOLE = "[data-testid=stApp][data-test-script-state=notRunning]:not(:has([data-stale=true]))"
"""The app once its script has run and nothing is stale. The policy of pages forbids waits for expressions."""
SHOTS = ROOT / "test-screenshots"
CLICKED_BY = {
    "n": ".st-key-next button:enabled",
    "ArrowLeft": ".st-key-previous button:enabled",
    "ArrowRight": ".st-key-next button:enabled",
    "o": '.gallery a.tile[tabindex="0"]',
    "f": "[data-hotkey=f]",
}
"""Key → what it clicks, if the test presses it through `press`."""


@contextmanager
def served(environment, log):
    """Serve the app as `kernel-explorer serve` does once everything is built; yield address and process."""
    command = [sys.executable, "-m", "streamlit", "run", "server.py", "--server.port"]
    options = {"cwd": ROOT, "env": {**ALLOCATOR, **environment}, "stderr": subprocess.STDOUT}
    with (
        reserved_port() as port,
        log.open("w") as output,
        process_of([*command, str(port)], stdout=output, **options) as process,
    ):
        wait_until_healthy(process, port)
        yield f"http://127.0.0.1:{port}", process
        assert_no_torch(process)
        process.terminate()
        process.wait()
    written = log.read_text()
    assert "Traceback" not in written, written[-3000:]
    assert "Session State API" not in written, written[-3000:]


@contextmanager
def server(environment, log):
    """Serve the app; yield its address."""
    with served(environment, log) as (url, _):
        yield url


@contextmanager
def tab(browser, url, width=1400, scheme="light"):
    """Open a tab in a fresh profile; fail on whatever `watch` notes."""
    context = browser.new_context(
        viewport={"width": width, "height": 1000}, color_scheme=scheme, base_url=url
    )
    page, errors = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    watch(page, url, errors.append)
    yield page
    context.close()
    assert not errors, errors


def watch(page, url, note):
    """Have errors in the page's scripts noted, and what it asks of another server or in vain of its own.

    url: the address of its own server. In vain: its Content-Security-Policy forbids it.
    """

    def check(request):
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob"} and address.netloc != urlsplit(url).netloc:
            note(f"asks for {request.url}")

    def read(said):
        if "Content Security Policy" in said.text:
            note(f"refused: {said.text}")

    page.on("pageerror", lambda error: note(f"script error: {error}"))
    page.on("request", check)
    page.on("console", read)


def settle(page):
    """Wait until the script has run and nothing is stale; check that no exception is shown."""
    page.wait_for_selector(WHOLE)
    assert page.locator("[data-testid=stException]").count() == 0


def visit(page, address):
    """Open an address, and wait for its tiles, which the browser draws after the script has ended."""
    page.goto(address)
    settle(page)
    if not address.startswith("/?") and address != "/":
        page.locator(".gallery .cell, .comparison canvas[data-shows], [data-testid=stAlert]").or_(
            page.get_by_role("button", name="Build it now")
        ).first.wait_for()


def listen(page):
    """Wait until the page listens to keys and steers its history; its list of keys is filled just before."""
    page.locator("dialog dl dt").first.wait_for(state="attached")


def press(page, key):
    """Press one of the app's keys, once the page listens and what the key clicks is drawn.

    Streamlit loads the code of a button separately, so the button can be missing after the script has ended,
    and a key that finds nothing to click does nothing.
    """
    listen(page)
    if key in CLICKED_BY:
        page.locator(CLICKED_BY[key]).first.wait_for()
    page.keyboard.press(key)


def shoot(page, name):
    """Leave a screenshot of the whole page, up to 4,000 pixels high."""
    SHOTS.mkdir(exist_ok=True)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"], "height": min(max(height, 600), 4000)})
    page.screenshot(path=SHOTS / f"{name}.png")
    page.set_viewport_size(size)
