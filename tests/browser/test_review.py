"""The review page in a real browser: keys judge, nothing is lost, nothing is written twice."""

import json

import pytest
from playwright.sync_api import expect

from tests.support.browser import server, tab
from tests.support.command import reserved_port
from tests.support.reviewing import Reviewing, faults_of, reviewer, served_at

pytestmark = pytest.mark.browser
KEYS = 4, 1, 2, 3, 5, 4, 4, 1, 4, 2
# Streamlit's page waits 15 s for an answer that a starting server does not give, 4 s until it asks again, and
# 15 s for a connection; then the new server draws the page for the first time.
CONNECTED_AGAIN = 90_000


@pytest.fixture
def environment(digits_cache, tmp_path):
    """The digits, with a file of verdicts of the test's own."""
    more = {"KERNEL_EXPLORER_SOURCE": "digits", "KERNEL_EXPLORER_VERDICTS": str(tmp_path / "verdicts.jsonl")}
    return dict(digits_cache, **more)


@pytest.fixture
def url(environment, tmp_path):
    """The address of an app that keeps verdicts in this file."""
    with server(environment, tmp_path / "log") as address:
        yield address


def lines(tmp_path):
    """The lines of the file of verdicts."""
    return [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]


def test_ten_keys_undo_and_a_reload_are_what_the_file_says(browser, url, tmp_path):
    with tab(browser, url) as page:
        ann = Reviewing(page, "Ann")
        ann.open()
        items = [ann.item]
        for key in KEYS:
            assert ann.judge(key)
            items.append(ann.item)
        ann.wait_until_saved()
        written = lines(tmp_path)
        assert [line["shown"]["rank"] for line in written] == list(range(1, 11))
        assert all(line["milliseconds"] >= 0 and line["reviewer"] == "Ann" for line in written)
        assert faults_of(tmp_path / "verdicts.jsonl", {"Ann": ann}) == []
        page.keyboard.press("u")
        assert ann.item == items[9]
        page.get_by_label("note").fill("the same 4, I think")
        page.get_by_label("note").press("Tab")
        assert ann.judge(1)
        ann.wait_until_saved()
        withdrawn, again = lines(tmp_path)[10:]
        assert withdrawn["verdict"] == "withdrawn"
        assert withdrawn["supersedes"] == written[9]["id"]
        assert (again["verdict"], again["note"]) == ("exact", "the same 4, I think")
        ann.open()
        assert ann.item == items[10]
        assert ann.judge(4)
        items.append(ann.item)
        ann.wait_until_saved()
        page.evaluate("history.pushState({}, '', '/overview'); dispatchEvent(new PopStateEvent('popstate'))")
        page.get_by_role("heading", name="Review").wait_for(state="detached")
        page.go_back()
        expect(page.locator(".review")).to_have_attribute("data-item", items[11])
        assert page.locator(".saved").inner_text().startswith("11 ")


def test_two_browsers_judge_at_once_and_a_name_is_kept(browser, url, tmp_path):
    with reviewer(browser, url, "Ann") as ann, reviewer(browser, url, "Bob") as bob:
        for key in KEYS:
            assert ann.judge(key)
            assert bob.judge(6 - key)
        ann.wait_until_saved()
        bob.wait_until_saved()
        assert faults_of(tmp_path / "verdicts.jsonl", {"Ann": ann, "Bob": bob}) == []
        bob.page.goto("/review")
        expect(bob.page.get_by_role("textbox", name="Your name")).to_have_value("Bob")


def test_what_is_judged_without_a_server_is_saved_later_once(browser, environment, tmp_path):
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        with served_at(environment, port, tmp_path / "log"):
            context = browser.new_context(base_url=url)
            ann = Reviewing(context.new_page(), "Ann")
            ann.open()
            ann.judge(4)
            ann.judge(4)
        assert ann.judge(1)
        following = ann.item
        with served_at(environment, port, tmp_path / "log"):
            ann.page.locator(".review[data-waiting='0']").wait_for(timeout=CONNECTED_AGAIN)
            assert ann.item == following
            ann.open()
            assert ann.item == following
            assert len(lines(tmp_path)) == 3
            assert faults_of(tmp_path / "verdicts.jsonl", {"Ann": ann}) == []
        context.close()
