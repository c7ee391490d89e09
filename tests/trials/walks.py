"""Random walks through the app in a real browser: 500 clicks from ten seeds. No page may fail on the way."""

import os
import shutil

from playwright.sync_api import sync_playwright

from tests.support.browser import FLAGS, server
from tests.support.walks import walk
from tests.trials.sources import built

CLICKS, WALKS = 50, 10


def chromium():
    """Return the path of Chromium. Raises `FileNotFoundError` if there is none."""
    path = os.environ.get("E2E_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        raise FileNotFoundError("no Chromium is installed (Debian: apt-get install chromium)")
    return path


def run(trial):
    """Walk; a click counts as a case, and a walk that fails as one failed."""
    clicks = min(CLICKS, trial.most or CLICKS)
    environment = built(trial.folder)
    with (
        server(environment, trial.folder / "log") as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for seed in trial.each(range(trial.seed, trial.seed + WALKS)):
            trial.fail(f"walk of seed {seed}", walk(browser, url, seed=seed, clicks=clicks))
            trial.tried += clicks - 1
        browser.close()
    trial.measured.append(f"{clicks} clicks from each seed")
