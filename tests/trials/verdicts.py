"""Servers killed while two people judge in their browsers: not one verdict is lost, none is written twice."""

from contextlib import ExitStack

from playwright.sync_api import sync_playwright

from tests.support.browser import FLAGS
from tests.support.command import reserved_port
from tests.support.reviewing import faults_of, reviewer, served_at
from tests.trials.processes import command, environment, forked_work
from tests.trials.processes import faults_of as faults_of_process
from tests.trials.walks import chromium

KILLS = 20
REVIEWERS = "Ann", "Bob"
QUEUE = "near_duplicates:kernel"
BETWEEN = 3, 12  # keys that each presses before a kill
AFTER = 0, 4  # keys that each presses while there is no server


def _press(rng, reviews, least, most):
    for _ in range(rng.randint(least, most)):
        for review in reviews.values():
            review.judge(rng.choice((1, 2, 3, 4, 5)))


def run(trial):
    """Kill the server at random moments, just after keys were pressed; each kill is a case."""
    path, log, rng = trial.folder / "verdicts.jsonl", trial.folder / "log", trial.rng
    more = {"KERNEL_EXPLORER_SOURCE": "digits", "KERNEL_EXPLORER_VERDICTS": str(path)}
    served = environment(trial.folder / "cache", **more)
    outcome = forked_work(command, "build", "digits", env=served)
    assert not faults_of_process(outcome, (0,)), outcome
    with reserved_port() as port, sync_playwright() as playwright, ExitStack() as open_tabs:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        url, reviews = f"http://127.0.0.1:{port}", {}
        for number in trial.each(range(KILLS)):
            with served_at(served, port, log):
                for name in () if reviews else REVIEWERS:
                    reviews[name] = open_tabs.enter_context(reviewer(browser, url, name, QUEUE))
                for review in reviews.values():
                    if number and rng.random() < 0.5:
                        review.open()
                    review.wait_until_saved()
                trial.fail(f"kill {number}", faults_of(path, reviews))
                _press(rng, reviews, *BETWEEN)
            _press(rng, reviews, *AFTER)
        with served_at(served, port, log):
            for review in reviews.values():
                review.open()
                review.wait_until_saved()
        trial.fail("the last kill", faults_of(path, reviews))
        trial.measured.append(f"{sum(len(review.given) for review in reviews.values())} verdicts")
        open_tabs.close()
        browser.close()
