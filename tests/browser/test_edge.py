"""The edge of the server: strange hosts, headers, and what is shown where a page fails."""

import http.client
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.browser import server, tab
from tests.support.command import ROOT

pytestmark = pytest.mark.browser
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
FAILING = """
from kernel_core.explain import bootstrap
from kernel_core.findings import pairs

def fail(*_, **__):
    raise ZeroDivisionError("a fault of ours")

def run_short(*_, **__):
    raise MemoryError("Unable to allocate 9.00 GiB for an array")

pairs.random_queries, bootstrap.pair_interval, pairs.nearest_pairs = fail, fail, run_short
"""


def answer(url, path, **headers):
    """Status and headers of an answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("GET", path, headers=headers)
    answered = connection.getresponse()
    connection.close()
    return answered.status, answered.headers


@pytest.mark.parametrize("path", ["/", "/example", "/_stcore/health", "/_stcore/host-config"])
def test_strange_host_is_refused(digits_url, path):
    assert answer(digits_url, path, Host="evil.example")[0] == 400
    assert answer(digits_url, path)[0] == 200


def test_websocket_of_a_strange_host_is_refused(digits_url):
    assert answer(digits_url, "/_stcore/stream", Host="evil.example", **UPGRADE)[0] in {400, 403}


@pytest.mark.parametrize("path", ["/", "/example", "/_stcore/health", "/static/none.js"])
def test_every_answer_says_what_a_page_may_load(digits_url, path):
    headers = answer(digits_url, path)[1]
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'self'", "frame-ancestors 'none'", "object-src 'none'"} <= set(policy)
    assert not [part for part in policy if "*" in part or "http" in part or "unsafe-eval" in part]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_unexpected_error_is_one_line_with_a_file_of_details(browser, digits_cache, tmp_path):
    """On a page and in a part that runs alone; `server` finds no traceback in its log."""
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    environment = dict(
        digits_cache, KERNEL_EXPLORER_SOURCE="digits", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"
    )
    with server(environment, tmp_path / "log") as url, tab(browser, url) as page:
        for address in ("/random_examples", "/pair?a=test:3&b=train:4"):
            page.goto(address)
            alert = page.get_by_test_id("stAlert")
            expect(alert).to_contain_text(
                "This page failed. Unexpected error: ZeroDivisionError: a fault of ours"
            )
            expect(page.get_by_test_id("stException")).to_have_count(0)
            details = Path(alert.inner_text().rpartition(" ")[2].rstrip(".")).read_text()
            assert "Traceback" in details
            assert "in fail" in details
        page.goto("/near_duplicates")
        alert = page.get_by_test_id("stAlert")
        expect(alert).to_contain_text("This page failed. Memory ran out: 9.7 GB more were needed at once; ")
        expect(alert).to_contain_text("then load the page again.")
        page.goto("/map")  # the server lives on
        expect(page.get_by_role("heading", name="Map").first).to_be_visible()
        expect(page.get_by_test_id("stAlert")).to_have_count(0)
