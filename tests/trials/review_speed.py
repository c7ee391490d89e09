"""How fast can one judge? Pairs judged by keyboard in Chromium, by a script that presses a key a second.

Prints the seconds per verdict, and how long the next pair takes from the key to the frame that shows it.
Verdicts go to a temporary file. Run as

    python -m tests.trials.review_speed SOURCE

on a source that is built.
"""

import os
import tempfile
from pathlib import Path

import click
import numpy as np
from playwright.sync_api import sync_playwright

from tests.support.browser import FLAGS, server
from tests.support.reviewing import WATCH, faults_of, reviewer
from tests.trials.walks import chromium

KEYS = 4, 2, 4, 3, 1
HEADINGS = ("wait", "verdicts", "seconds a verdict", "ms, median", "ms, 95%", "ms, most")


def measure(browser, url, wait, count):
    """Judge pairs with a wait in milliseconds before each key; return a row of the table, and who judged."""
    with reviewer(browser, url, f"wait {wait}") as review:
        page = review.page
        page.evaluate(WATCH)
        begin = page.evaluate("performance.now()")
        for number in range(count):
            page.wait_for_timeout(wait)
            review.judge(KEYS[number % len(KEYS)])
        seconds = (page.evaluate("performance.now()") - begin) / 1000 / count
        review.wait_until_saved()
        drawn = np.array(page.evaluate("globalThis.__drawn"))
        shown = [f"{np.quantile(drawn, share):.0f}" for share in (0.5, 0.95, 1)]
        return (f"{wait} ms", str(len(review.given)), f"{seconds:.2f}", *shown), review


@click.command()
@click.argument("source")
@click.option("--count", default=60, show_default=True)
def main(source, count):
    """Judge the first pairs of SOURCE three times, ever faster, and print a table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "verdicts.jsonl"
        environment = {**os.environ, "KERNEL_EXPLORER_SOURCE": source, "KERNEL_EXPLORER_VERDICTS": str(path)}
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        with server(environment, Path(folder) / "log") as url:
            rows, reviews = [], {}
            for wait in (1000, 300, 0):
                row, review = measure(browser, url, wait, count)
                rows.append(row)
                reviews[f"wait {wait}"] = review
        browser.close()
        faults = faults_of(path, reviews)
    table = [HEADINGS, ["---:"] * len(HEADINGS), *rows]
    print(*(f"| {' | '.join(row)} |" for row in table), *faults, sep="\n")


if __name__ == "__main__":
    main()
