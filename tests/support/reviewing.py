"""A reviewer at the review page in a real browser: presses keys, and knows what it judged."""

import json
import subprocess
import sys
from contextlib import contextmanager

from kernel_core.cli.serving import ALLOCATOR
from tests.support.browser import PATIENCE, listen, settle
from tests.support.command import ROOT, process_of, wait_until_healthy

VERDICTS = ("exact", "near-duplicate", "very similar", "different", "unsure")
QUEUE = "near_duplicates:kernel"
HERE = ".review[data-item]"
WATCH = """() => {
  const roots = () => [...document.querySelectorAll("*")].map((node) => node.shadowRoot).filter(Boolean);
  const find = () => roots().map((root) => root.querySelector(".review")).find(Boolean);
  globalThis.__drawn = [];
  addEventListener("keydown", () => {
    const start = performance.now(), before = find().dataset.item;
    const step = () => {
      if (find().dataset.item === before) return requestAnimationFrame(step);
      const images = [...find().querySelectorAll(".side img")];
      Promise.all(images.map((image) => image.decode())).then(() =>
        requestAnimationFrame(() => globalThis.__drawn.push(performance.now() - start)));
    };
    requestAnimationFrame(step);
  }, true);
}"""
"""Notes in `__drawn` the milliseconds from each key to the frame with the next item's images."""


class Reviewing:
    """A tab at the review page. given: item → the verdict that was given last, as the page showed it."""

    def __init__(self, page, reviewer, queue=QUEUE):
        self.page, self.given = page, {}
        self.address = f"/review?list={queue}&reviewer={reviewer}"

    def open(self):
        """Open the queue, at the first item that is not judged yet."""
        self.page.goto(self.address)
        settle(self.page)
        self.page.locator(HERE).wait_for()
        listen(self.page)

    @property
    def item(self):
        """The name of the item on the page; empty where the next is on its way, or none is left."""
        return self.page.locator(HERE).get_attribute("data-item")

    def judge(self, number):
        """Press the key of a verdict, from 1; return whether the page took it, and went to the next item."""
        before = self.item
        if not before:
            return False
        self.page.keyboard.press(str(number))
        taken = self.item != before
        if taken:
            self.given[before] = VERDICTS[number - 1]
        return taken

    def wait_until_saved(self):
        """Return once the page says that everything is saved."""
        self.page.locator(".review[data-waiting='0']").wait_for(timeout=PATIENCE)


def faults_of(path, reviews):
    """Return what is wrong with a file of verdicts: lost, written twice, or another one than was given.

    reviews: name of the reviewer → `Reviewing`.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    ids = [line["id"] for line in lines]
    faults = [f"{len(ids) - len(set(ids))} written twice"] if len(set(ids)) < len(ids) else []
    given = {f"{name}~{item}": v for name, review in reviews.items() for item, v in review.given.items()}
    found = {}
    for line in lines:
        item = "~".join(f"{line[side]['split']}:{line[side]['index']}" for side in "ab" if line[side])
        found[f"{line['reviewer']}~{item}"] = line["verdict"]
    faults += [f"lost: {item}" for item in given.keys() - found.keys()]
    faults += [f"never given: {item}" for item in found.keys() - given.keys()]
    faults += [f"{found[item]} instead of {given[item]}" for item in given.keys() & found.keys()
               if found[item] != given[item]]  # fmt: skip
    return faults


@contextmanager
def reviewer(browser, url, name, queue=QUEUE):
    """Open the review page in a fresh profile; yield the reviewer. Lost connections are no errors."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, base_url=url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    review = Reviewing(page, name, queue)
    review.open()
    yield review
    context.close()


@contextmanager
def served_at(environment, port, log):
    """Serve the app on a port, until it is killed at the end."""
    command = [sys.executable, "-m", "streamlit", "run", "server.py", "--server.port", str(port)]
    options = {"cwd": ROOT, "env": {**ALLOCATOR, **environment}, "stderr": subprocess.STDOUT}
    with log.open("a") as output, process_of(command, stdout=output, **options) as process:
        wait_until_healthy(process, port)
        yield
